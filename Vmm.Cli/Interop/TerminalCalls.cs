using System.Runtime.InteropServices;

namespace Vmm.Cli.Interop;

/// <summary>termios(3).</summary>
internal static partial class TerminalCalls
{
    /// <summary>Size of <c>struct termios</c> of x86-64 glibc, rounded up generously.</summary>
    public const int AttributesLength = 128;

    /// <summary>Offset of <c>c_oflag</c>.</summary>
    public const int OutputFlags = 4;

    /// <summary>OPOST.</summary>
    public const byte OutputProcessing = 1;

    [LibraryImport("libc")]
    internal static partial int isatty(int descriptor);

    [LibraryImport("libc")]
    internal static unsafe partial int tcgetattr(int descriptor, byte* attributes);

    [LibraryImport("libc")]
    internal static unsafe partial int tcsetattr(int descriptor, int action, byte* attributes);

    [LibraryImport("libc")]
    internal static unsafe partial void cfmakeraw(byte* attributes);
}
