using System;
using Vmm.DeviceModel.Interop;

namespace Vmm.Kvm.Interop;

/// <summary>The real kernel behind <see cref="IVmCalls"/>.</summary>
internal sealed unsafe class VmCalls(FileDescriptor descriptor) : IVmCalls
{
    public bool IsClosed => descriptor.IsClosed;

    public int Call(uint request, void* argument) => Call(descriptor, request, argument);

    public int Call(FileDescriptor device, uint request, void* argument)
    {
        try
        {
            return KvmCall.Try(device, request, argument);
        }
        catch (ObjectDisposedException)
        {
            return -Errno.EBADF;
        }
    }
}
