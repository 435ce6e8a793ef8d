using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>Guest writes that signal an eventfd inside the kernel (KVM_IOEVENTFD).</summary>
/// <remarks>Thread-safe without a lock of its own. The eventfd of a doorbell must stay open until the doorbell is disposed.</remarks>
public sealed unsafe class KvmDoorbells : IDoorbells
{
    private readonly IVmCalls _calls;
    private readonly ILogger _logger;
    private int _count;

    internal KvmDoorbells(IVmCalls calls, ILogger logger)
    {
        _calls = calls;
        _logger = logger;
    }

    /// <summary>How many are registered.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <inheritdoc/>
    public IDisposable Register(AddressSpaceKind kind, ulong address, int width, ulong? dataMatch, EventFd target)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (width is not (1 or 2 or 4 or 8))
        {
            throw new ArgumentOutOfRangeException(nameof(width), width, "1, 2, 4 or 8");
        }

        uint flags = kind == AddressSpaceKind.Port ? KvmConstants.KVM_IOEVENTFD_FLAG_PIO : 0;
        if (dataMatch is not null)
        {
            flags |= KvmConstants.KVM_IOEVENTFD_FLAG_DATAMATCH;
        }

        // Length 0 is the kernel's fast path and answers any width; it cannot be combined with a value to match.
        int length = dataMatch is null ? 0 : width;
        int result = Call(target, address, length, dataMatch, flags);
        if (result < 0 && length == 0 && result != -Errno.EEXIST)
        {
            length = width;
            result = Call(target, address, length, dataMatch, flags);
        }

        if (result < 0)
        {
            string taken = result == -Errno.EEXIST ? "; the address has a doorbell already" : string.Empty;
            throw KvmCall.Failure("KVM_IOEVENTFD", -result, $"registering a doorbell of {width} bytes at {Describe(kind, address)}{taken}");
        }

        Interlocked.Increment(ref _count);
        return new Doorbell(this, kind, address, length, dataMatch, flags, target);
    }

    private static string Describe(AddressSpaceKind kind, ulong address)
    {
        return kind == AddressSpaceKind.Port ? $"port 0x{address:X}" : $"0x{address:X}";
    }

    private int Call(EventFd target, ulong address, int length, ulong? dataMatch, uint flags)
    {
        var doorbell = new kvm_ioeventfd
        {
            datamatch = dataMatch ?? 0,
            addr = address,
            len = (uint)length,
            fd = target.Descriptor,
            flags = flags,
        };
        return _calls.Call(KvmRequests.KVM_IOEVENTFD, &doorbell);
    }

    private void Remove(Doorbell doorbell)
    {
        Interlocked.Decrement(ref _count);
        if (_calls.IsClosed)
        {
            return;
        }

        int result;
        try
        {
            result = Call(
                doorbell.Target, doorbell.Address, doorbell.Length, doorbell.DataMatch, doorbell.Flags | KvmConstants.KVM_IOEVENTFD_FLAG_DEASSIGN);
        }
        catch (ObjectDisposedException)
        {
            // The caller closed the eventfd first: the kernel can no longer be told which doorbell is meant.
            result = -Errno.EBADF;
        }

        if (result < 0 && !_calls.IsClosed)
        {
            _logger.RemovalRefused("doorbell", Describe(doorbell.Kind, doorbell.Address), -result);
        }
    }

    private sealed class Doorbell(
        KvmDoorbells owner, AddressSpaceKind kind, ulong address, int length, ulong? dataMatch, uint flags, EventFd target) : IDisposable
    {
        private int _disposed;

        public AddressSpaceKind Kind => kind;

        public ulong Address => address;

        public int Length => length;

        public ulong? DataMatch => dataMatch;

        public uint Flags => flags;

        public EventFd Target => target;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0)
            {
                owner.Remove(this);
            }
        }
    }
}
