using Microsoft.Win32.SafeHandles;
using Vmm.Machine.Interop;

namespace Vmm.Machine.Devices;

/// <summary>The file that the output of a serial port or a console goes to.</summary>
internal static class OutputFile
{
    /// <summary>Opens it, emptied unless it is to be continued.</summary>
    /// <param name="part"><c>serial</c> or <c>console</c>.</param>
    /// <param name="options">The path.</param>
    /// <exception cref="MachineException">It cannot be opened.</exception>
    public static SafeFileHandle Open(string part, CharacterOptions options)
    {
        SafeFileHandle file = Libc.OpenOutput(options.Path!, options.Append, out int errno);
        if (!file.IsInvalid)
        {
            return file;
        }

        file.Dispose();
        throw new MachineException(part, $"file={options.Path}", $"cannot be opened for writing: {Libc.Describe(errno)}");
    }
}
