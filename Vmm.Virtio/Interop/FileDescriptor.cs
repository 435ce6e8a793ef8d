using System.Runtime.InteropServices;

namespace Vmm.Virtio.Interop;

/// <summary>An open descriptor that we own.</summary>
internal sealed class FileDescriptor : SafeHandle
{
    public FileDescriptor()
        : base(-1, true)
    {
    }

    public FileDescriptor(int descriptor)
        : this()
    {
        SetHandle(descriptor);
    }

    public override bool IsInvalid => handle == -1;

    /// <summary>The number, valid until disposal.</summary>
    public int Number => (int)handle;

    protected override bool ReleaseHandle() => Libc.close((int)handle) == 0;
}
