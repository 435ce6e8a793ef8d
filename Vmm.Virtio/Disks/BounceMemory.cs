using System;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Vmm.Virtio.Disks;

/// <summary>Aligned memory that bytes of the guest pass through where theirs is not aligned as O_DIRECT wants it. For one thread.</summary>
internal sealed unsafe class BounceMemory : IDisposable
{
    /// <summary>Bytes of a slot, which is what one operation moves.</summary>
    public const int SlotLength = 128 << 10;

    private const int Alignment = 4096;

    private readonly int _count;
    private byte* _start;
    private uint _free;

    /// <param name="count">Slots, 1 to 31.</param>
    public BounceMemory(int count)
    {
        _count = count;
        _free = (1u << count) - 1;
        _start = (byte*)NativeMemory.AlignedAlloc((nuint)(count * SlotLength), Alignment);
    }

    /// <summary>Takes a slot.</summary>
    /// <returns>Its number, or -1 if none is free.</returns>
    public int Take()
    {
        if (_free == 0)
        {
            return -1;
        }

        int slot = BitOperations.TrailingZeroCount(_free);
        _free &= _free - 1;
        return slot;
    }

    /// <summary>Gives a slot back.</summary>
    public void Give(int slot) => _free |= 1u << slot;

    /// <summary>A slot's memory, for the kernel.</summary>
    public byte* AddressOf(int slot) => _start + (slot * SlotLength);

    /// <summary>A slot's memory, to copy.</summary>
    public Span<byte> this[int slot] => new(AddressOf(slot), SlotLength);

    public void Dispose()
    {
        if (_free != (1u << _count) - 1)
        {
            throw new InvalidOperationException("bounce memory is freed under an operation");
        }

        NativeMemory.AlignedFree(_start);
        _start = null;
        _free = 0;
    }
}
