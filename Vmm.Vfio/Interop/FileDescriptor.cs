using Microsoft.Win32.SafeHandles;

namespace Vmm.Vfio.Interop;

/// <summary>An owned descriptor; closed once, never while a call uses it.</summary>
internal sealed class FileDescriptor : SafeHandleMinusOneIsInvalid
{
    public FileDescriptor(int descriptor)
        : base(ownsHandle: true)
    {
        SetHandle(descriptor);
    }

    protected override bool ReleaseHandle() => Libc.Close((int)handle) == 0;
}
