using System;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;

namespace Vmm.DeviceModel.Events;

/// <summary>A Linux eventfd: a counter that the kernel, another process or we add to and that a worker waits on.</summary>
/// <remarks>
/// Thread-safe. The descriptor is held open by each call in flight, so a disposal elsewhere never makes a call hit a reused number.
/// </remarks>
public sealed unsafe class EventFd : IDisposable
{
    private readonly FileDescriptor _descriptor;

    /// <summary>Makes a non-blocking, close-on-exec eventfd with the counter at 0.</summary>
    /// <exception cref="HostException">The process is out of descriptors.</exception>
    public EventFd()
    {
        _descriptor = new FileDescriptor(Libc.eventfd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK));
        if (_descriptor.IsInvalid)
        {
            throw new HostException("eventfd", Marshal.GetLastPInvokeError(), "cannot make an eventfd; see ulimit -n");
        }
    }

    /// <summary>The descriptor number, valid until disposal.</summary>
    public int Descriptor
    {
        get
        {
            ObjectDisposedException.ThrowIf(_descriptor.IsClosed, this);
            return _descriptor.Number;
        }
    }

    /// <summary>Adds 1. Allocates nothing; a full counter is as good as signalled; does nothing after disposal.</summary>
    public void Signal()
    {
        bool held = false;
        try
        {
            _descriptor.DangerousAddRef(ref held);
            ulong one = 1;
            while (Libc.WasInterrupted(Libc.write(_descriptor.Number, &one, sizeof(ulong))))
            {
            }
        }
        catch (ObjectDisposedException)
        {
            // A signal that races a disposal has nobody to wake.
        }
        finally
        {
            if (held)
            {
                _descriptor.DangerousRelease();
            }
        }
    }

    /// <summary>Takes the counter to 0.</summary>
    /// <param name="count">What it was.</param>
    /// <returns>False if it was 0 already, or after disposal.</returns>
    public bool TryConsume(out ulong count)
    {
        bool held = false;
        try
        {
            _descriptor.DangerousAddRef(ref held);
            ulong value = 0;
            nint result;
            do
            {
                result = Libc.read(_descriptor.Number, &value, sizeof(ulong));
            }
            while (Libc.WasInterrupted(result));
            count = result == sizeof(ulong) ? value : 0;
            return result == sizeof(ulong);
        }
        catch (ObjectDisposedException)
        {
            count = 0;
            return false;
        }
        finally
        {
            if (held)
            {
                _descriptor.DangerousRelease();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _descriptor.Dispose();
}
