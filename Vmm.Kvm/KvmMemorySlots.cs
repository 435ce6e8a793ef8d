using System;
using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>The machine's memory slots (KVM_SET_USER_MEMORY_REGION).</summary>
/// <remarks>Thread-safe. One lock covers the slot table and the kernel call; nothing is called out under it.</remarks>
public sealed unsafe class KvmMemorySlots : IMemorySlots
{
    private const ulong PageMask = 0xFFF;

    private readonly IVmCalls _calls;
    private readonly ILogger _logger;
    private readonly bool _readOnlySupported;
    private readonly NumberAllocator _numbers;
    private readonly List<Slot> _slots = [];
    private readonly Lock _lock = new();

    internal KvmMemorySlots(IVmCalls calls, int limit, bool readOnlySupported, ILogger logger)
    {
        _calls = calls;
        _readOnlySupported = readOnlySupported;
        _logger = logger;
        _numbers = new NumberAllocator(limit);
    }

    /// <summary>How many slots the hypervisor has (KVM_CAP_NR_MEMSLOTS).</summary>
    public int Limit => _numbers.Limit;

    /// <summary>How many are in use.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _slots.Count;
            }
        }
    }

    /// <inheritdoc/>
    public IDisposable Map(ulong guestAddress, ulong length, nint host, bool readOnly, bool isRam = false)
    {
        if (length == 0 || ((guestAddress | length | (ulong)host) & PageMask) != 0)
        {
            throw new ArgumentException($"a slot is made of whole pages, not 0x{length:X} bytes at 0x{guestAddress:X} from host 0x{host:X}");
        }

        if (length - 1 > ulong.MaxValue - guestAddress)
        {
            throw new ArgumentException($"0x{length:X} bytes at 0x{guestAddress:X} pass the end of the address space");
        }

        if (readOnly && !_readOnlySupported)
        {
            throw new HostException("KVM_SET_USER_MEMORY_REGION", 0, "this kernel has no read-only memory slots (KVM_CAP_READONLY_MEM)");
        }

        lock (_lock)
        {
            if (!_numbers.TryAllocate(out int number))
            {
                throw new HostException(
                    "KVM_SET_USER_MEMORY_REGION", Errno.ENOSPC, $"all {Limit} memory slots are in use (the limit is KVM_CAP_NR_MEMSLOTS)");
            }

            var slot = new Slot(this, number, guestAddress, length, host, readOnly, isRam);
            int result = Set(slot, length);
            if (result < 0)
            {
                _numbers.Free(number);
                string overlap = result == -Errno.EEXIST ? "; another slot overlaps it" : string.Empty;
                throw KvmCall.Failure(
                    "KVM_SET_USER_MEMORY_REGION", -result, $"mapping 0x{length:X} bytes at 0x{guestAddress:X} as slot {number} of {Limit}{overlap}");
            }

            _slots.Add(slot);
            return slot;
        }
    }

    /// <summary>
    /// Reads guest RAM through the slots, for diagnostics such as disassembly. Slots that are not plain RAM are passed over: a device's memory may
    /// act on a read, and a file's may be gone.
    /// </summary>
    /// <param name="guestAddress">First byte.</param>
    /// <param name="destination">Where to.</param>
    /// <returns>How many bytes were there: fewer than asked where RAM ends.</returns>
    public int Read(ulong guestAddress, Span<byte> destination)
    {
        int done = 0;
        lock (_lock)
        {
            while (done < destination.Length)
            {
                ulong address = unchecked(guestAddress + (ulong)done);
                Slot? slot = Find(address);
                if (slot is null)
                {
                    break;
                }

                ulong offset = address - slot.GuestAddress;
                int piece = (int)Math.Min((ulong)(destination.Length - done), slot.Length - offset);
                new ReadOnlySpan<byte>((byte*)slot.Host + offset, piece).CopyTo(destination[done..]);
                done += piece;
            }
        }

        return done;
    }

    private Slot? Find(ulong address)
    {
        foreach (Slot slot in _slots)
        {
            if (slot.IsRam && address >= slot.GuestAddress && address - slot.GuestAddress < slot.Length)
            {
                return slot;
            }
        }

        return null;
    }

    private int Set(Slot slot, ulong length)
    {
        var region = new kvm_userspace_memory_region
        {
            slot = (uint)slot.Number,
            flags = slot.ReadOnly ? KvmConstants.KVM_MEM_READONLY : 0,
            guest_phys_addr = slot.GuestAddress,
            memory_size = length,
            userspace_addr = (ulong)slot.Host,
        };
        return _calls.Call(KvmRequests.KVM_SET_USER_MEMORY_REGION, &region);
    }

    private void Remove(Slot slot)
    {
        lock (_lock)
        {
            if (!_slots.Remove(slot))
            {
                return;
            }

            int result = _calls.IsClosed ? 0 : Set(slot, 0);
            if (result < 0 && !_calls.IsClosed)
            {
                // The number stays taken: the kernel still has the slot.
                _logger.RemovalRefused("memory slot", $"0x{slot.GuestAddress:X}", -result);
                return;
            }

            _numbers.Free(slot.Number);
        }
    }

    private sealed class Slot(KvmMemorySlots owner, int number, ulong guestAddress, ulong length, nint host, bool readOnly, bool isRam) : IDisposable
    {
        public int Number => number;

        public ulong GuestAddress => guestAddress;

        public ulong Length => length;

        public nint Host => host;

        public bool ReadOnly => readOnly;

        public bool IsRam => isRam;

        public void Dispose() => owner.Remove(this);
    }
}
