using System;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Memory;

/// <summary>What a device reaches by DMA: guest memory, through its translator if it sits behind one, while bus mastering is on (PCI-8).</summary>
/// <remarks>Late-bound and revocable: the function that owns the device switches <see cref="Enabled"/> with its Command register.</remarks>
public sealed class DmaTarget
{
    private volatile bool _enabled = true;

    /// <summary>Makes a target over guest memory.</summary>
    /// <param name="memory">Guest RAM.</param>
    public DmaTarget(GuestMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        Memory = memory;
    }

    /// <summary>
    /// Guest RAM. Accesses here look at neither <see cref="Enabled"/> nor <see cref="Translator"/>; <see cref="TryRead"/> and <see cref="TryWrite"/> do.
    /// </summary>
    public GuestMemory Memory { get; }

    /// <summary>False while the device may not master the bus; queues then wait.</summary>
    public bool Enabled
    {
        get => _enabled;
        set => _enabled = value;
    }

    /// <summary>Translates the device's addresses; null where they are guest-physical (VTP-17). For the embedder to set: nothing here does.</summary>
    public IDmaTranslator? Translator { get; set; }

    /// <summary>Reads as the device does: while bus mastering is on, by its own addresses, in pieces. From any thread; waits for nobody.</summary>
    /// <param name="address">The device's address.</param>
    /// <param name="destination">Where to.</param>
    /// <returns>False, and nothing promised about the destination, if it may not, or if a byte is not mapped for reading or is not RAM.</returns>
    public bool TryRead(ulong address, Span<byte> destination)
    {
        using AccessDomain.ReadScope scope = Memory.Domain.Enter();
        while (TryMap(ref address, destination.Length, write: false, out ulong start, out int run))
        {
            if (!Memory.TryRead(start, destination[..run]))
            {
                return false;
            }

            destination = destination[run..];
            if (destination.IsEmpty)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Writes as the device does: while bus mastering is on, by its own addresses, in pieces, and marks what it wrote (MEM-5). From any thread; waits
    /// for nobody.
    /// </summary>
    /// <param name="address">The device's address.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>False if it may not, or if a byte is not mapped for writing or is not RAM; pieces before that byte may have been written.</returns>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> source)
    {
        using AccessDomain.ReadScope scope = Memory.Domain.Enter();
        while (TryMap(ref address, source.Length, write: true, out ulong start, out int run))
        {
            if (!Memory.TryWrite(start, source[..run]))
            {
                return false;
            }

            source = source[run..];
            if (source.IsEmpty)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Finds the next piece, and moves the address behind it.</summary>
    private bool TryMap(ref ulong address, int length, bool write, out ulong start, out int run)
    {
        (start, run) = (address, length);
        if (!Enabled || !GuestRange.TryCreate(address, (ulong)length, out _))
        {
            return false;
        }

        if (length != 0 && Translator is { } translator)
        {
            if (!translator.TryTranslate(address, (ulong)length, write, out start, out ulong contiguous))
            {
                return false;
            }

            run = (int)Math.Clamp(contiguous, 1, (ulong)length);
        }

        address += (ulong)run;
        return true;
    }
}
