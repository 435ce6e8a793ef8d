using System;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;

namespace Vmm.Vfio.Interop;

/// <summary>The real kernel behind <see cref="IKernelFile"/>.</summary>
internal sealed unsafe class KernelFile(FileDescriptor descriptor) : IKernelFile
{
    public int Number => descriptor.Number;

    public int Ioctl(uint request, Span<byte> argument)
    {
        fixed (byte* pointer = argument)
        {
            return Ioctl(request, (nuint)pointer);
        }
    }

    public int Ioctl(uint request, nuint value)
    {
        try
        {
            while (true)
            {
                int result = Libc.ioctl(descriptor, request, value);
                if (result >= 0)
                {
                    return result;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno != Errno.EINTR)
                {
                    return -errno;
                }
            }
        }
        catch (ObjectDisposedException)
        {
            return -Errno.EBADF;
        }
    }

    public bool TryRead(ulong offset, Span<byte> destination)
    {
        fixed (byte* pointer = destination)
        {
            try
            {
                nint result;
                do
                {
                    result = Libc.pread(descriptor, pointer, (nuint)destination.Length, (long)offset);
                }
                while (result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
                return result == destination.Length;
            }
            catch (ObjectDisposedException)
            {
                return false;
            }
        }
    }

    public bool TryWrite(ulong offset, ReadOnlySpan<byte> source)
    {
        fixed (byte* pointer = source)
        {
            try
            {
                nint result;
                do
                {
                    result = Libc.pwrite(descriptor, pointer, (nuint)source.Length, (long)offset);
                }
                while (result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
                return result == source.Length;
            }
            catch (ObjectDisposedException)
            {
                return false;
            }
        }
    }

    public HostMemory Map(ulong offset, ulong length, bool writable)
    {
        bool held = false;
        try
        {
            descriptor.DangerousAddRef(ref held);
            return HostMemory.MapDescriptor(descriptor.Number, offset, length, writable);
        }
        finally
        {
            if (held)
            {
                descriptor.DangerousRelease();
            }
        }
    }

    public void Dispose() => descriptor.Dispose();
}
