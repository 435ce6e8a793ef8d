using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Fuzz.Hostile;

/// <content>What the device does in memory, and its interrupts.</content>
internal sealed partial class HostileDevice
{
    private const ushort Next = 1;
    private const ushort Write = 2;
    private const ushort Indirect = 4;
    private const ushort Available = 1 << 7;
    private const ushort Used = 1 << 15;
    private const int ElementSize = 16;

    private bool IsPacked => (_driverFeatures & RingFeatures.Packed) != 0;

    /// <summary>An interrupt now, on the driver's own thread.</summary>
    public void Interrupt() => Interrupt(_random);

    /// <summary>The device has a turn.</summary>
    private void Act()
    {
        if (_acting)
        {
            return;
        }

        _acting = true;
        foreach (HostileQueue queue in _queues.Values)
        {
            if (OneIn(4 * _profile.Service))
            {
                _ = TryServe(queue);
            }

            if (OneIn(_profile.RingLies))
            {
                LieIn(queue);
            }
        }

        if (OneIn(_profile.Interrupts))
        {
            Interrupt();
        }

        if (OneIn(50))
        {
            _generation++;
        }

        _acting = false;
    }

    private void Interrupt(Random random)
    {
        _isr |= (byte)random.Next(4);
        try
        {
            _message?.Invoke(random.Next(8) == 0 ? (int)HostileProfile.Interesting(random) : random.Next(4));
            _pin?.Invoke();
        }
        catch (Exception thrown)
        {
            Complain($"an interrupt's callback threw {thrown}");
        }
    }

    /// <summary>Disturbs while the driver is in the middle of something.</summary>
    private void DisturbAlways()
    {
        while (!_ended)
        {
            if (_threadRandom.Next(4) == 0)
            {
                Interrupt(_threadRandom);
            }
            else
            {
                Scribble(_threadRandom);
            }

            Thread.SpinWait(_threadRandom.Next(2000));
            if (_threadRandom.Next(10) == 0)
            {
                // A storm without an end would keep the driver from its own locks.
                Thread.Sleep(1);
            }
        }
    }

    /// <summary>Mapped memory at an address; empty where it is not mapped, or not all of it.</summary>
    private Span<byte> At(ulong iova, ulong length)
    {
        foreach (HostileBuffer buffer in _mapped)
        {
            ulong offset = iova - buffer.Iova;
            if (iova >= buffer.Iova && offset < (ulong)buffer.Bytes.Length && length <= (ulong)buffer.Bytes.Length - offset)
            {
                return buffer.Bytes.AsSpan((int)offset, (int)length);
            }
        }

        return [];
    }

    private void Scribble(Random random)
    {
        lock (_memoryLock)
        {
            HostileBuffer[] mapped = _mapped;
            if (mapped.Length > 0)
            {
                byte[] bytes = mapped[random.Next(mapped.Length)].Bytes;
                int at = random.Next(bytes.Length);
                random.NextBytes(bytes.AsSpan(at, Math.Min(random.Next(1, 16), bytes.Length - at)));
            }
        }
    }

    /// <summary>Writes what is not so: used elements of any content, indices that jump, wishes, or anything anywhere.</summary>
    private void LieIn(HostileQueue queue)
    {
        Span<byte> ring = IsPacked ? At(queue.Descriptors, (ulong)queue.Size * ElementSize) : At(queue.Device, ((ulong)queue.Size * 8) + 6);
        int lie = _random.Next(5);
        if (ring.IsEmpty || lie == 0)
        {
            Scribble(_random);
            return;
        }

        uint id = _random.Next(4) == 0 ? (uint)HostileProfile.Interesting(_random) : (uint)_random.Next(queue.Size + 1);
        uint length = _random.Next(2) == 0 ? (uint)HostileProfile.Interesting(_random) : (uint)_random.Next(2000);
        if (IsPacked)
        {
            // Mostly where the driver looks next, mostly with flags that say used.
            int place = _random.Next(4) == 0 ? _random.Next(queue.Size) : queue.Next;
            bool wrap = _random.Next(8) == 0 ? !queue.Wrap : queue.Wrap;
            ushort flags = _random.Next(8) == 0 ? (ushort)_random.Next(0x10000) : (ushort)((wrap ? Available | Used : 0) | (_random.Next(2) * Write));
            WriteUsed(ring.Slice(place % queue.Size * ElementSize, ElementSize), length, (ushort)id, flags);
            BinaryPrimitives.TryWriteUInt32LittleEndian(At(queue.Device, 4), lie == 4 ? (uint)_random.Next() : 0);
            return;
        }

        ushort index = BinaryPrimitives.ReadUInt16LittleEndian(ring[2..]);
        Span<byte> element = ring.Slice(4 + (8 * (index % queue.Size)), 8);
        if (lie != 3)
        {
            // Otherwise what was used before is used again.
            BinaryPrimitives.WriteUInt32LittleEndian(element, id);
            BinaryPrimitives.WriteUInt32LittleEndian(element[4..], length);
        }

        int step = _random.Next(8) == 0 ? _random.Next(0x10000) : _random.Next(3);
        BinaryPrimitives.WriteUInt16LittleEndian(ring[2..], (ushort)(index + step));
        if (lie == 4)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(ring, (ushort)_random.Next(0x10000));
        }
    }

    private static void WriteUsed(Span<byte> descriptor, uint length, ushort id, ushort flags)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], id);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], flags);
    }

    /// <summary>Takes the next request and answers it as a device would.</summary>
    private bool TryServe(HostileQueue queue)
    {
        if (!queue.Enabled || (_status & (byte)DeviceStatus.DriverOk) == 0 || queue.Size == 0)
        {
            return false;
        }

        bool served = IsPacked ? TryServePacked(queue) : TryServeSplit(queue);
        if (served && queue.Vector != VirtioPciIds.NoVector)
        {
            _message?.Invoke(queue.Vector);
        }
        else if (served)
        {
            _isr |= 1;
            _pin?.Invoke();
        }

        return served;
    }

    private bool TryServeSplit(HostileQueue queue)
    {
        Span<byte> table = At(queue.Descriptors, (ulong)queue.Size * ElementSize);
        Span<byte> available = At(queue.Driver, ((ulong)queue.Size * 2) + 4);
        Span<byte> used = At(queue.Device, ((ulong)queue.Size * 8) + 4);
        if (table.IsEmpty || available.IsEmpty || used.IsEmpty)
        {
            Malformed("areas of a queue are not mapped");
            return false;
        }

        if (Volatile.Read(ref MemoryMarshal.AsRef<ushort>(available[2..4])) == queue.Next)
        {
            return false;
        }

        ushort head = BinaryPrimitives.ReadUInt16LittleEndian(available[(4 + (2 * (queue.Next % queue.Size)))..]);
        queue.Next++;
        uint length = Answer(queue, table, head, out _, out _);
        int at = 4 + (8 * (queue.UsedIndex % queue.Size));
        BinaryPrimitives.WriteUInt32LittleEndian(used[at..], head);
        BinaryPrimitives.WriteUInt32LittleEndian(used[(at + 4)..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(used[2..], ++queue.UsedIndex);
        return true;
    }

    private bool TryServePacked(HostileQueue queue)
    {
        Span<byte> ring = At(queue.Descriptors, (ulong)queue.Size * ElementSize);
        if (ring.IsEmpty || At(queue.Driver, 4).IsEmpty || At(queue.Device, 4).IsEmpty)
        {
            Malformed("areas of a queue are not mapped");
            return false;
        }

        int at = queue.Next % queue.Size;
        ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(ring[((at * ElementSize) + 14)..]);
        if ((flags & Available) != 0 != queue.Wrap || (flags & Used) != 0 == queue.Wrap)
        {
            return false;
        }

        uint length = Answer(queue, ring, (ushort)at, out int slots, out ushort id);
        WriteUsed(ring.Slice(at * ElementSize, ElementSize), length, id, (ushort)((queue.Wrap ? Available | Used : 0) | (length > 0 ? Write : 0)));
        if (at + slots >= queue.Size)
        {
            queue.Wrap = !queue.Wrap;
        }

        queue.Next = (ushort)((at + slots) % queue.Size);
        return true;
    }

    /// <summary>Walks a chain and writes what the driver gave to be written.</summary>
    /// <returns>Bytes written.</returns>
    private uint Answer(HostileQueue queue, Span<byte> table, int at, out int slots, out ushort id)
    {
        bool packed = IsPacked;
        bool inTable = false;
        uint written = 0;
        Span<byte> last = default;
        (slots, id) = (0, 0);
        for (int seen = 0; seen <= queue.Size && at < table.Length / ElementSize; seen++)
        {
            ReadOnlySpan<byte> descriptor = table.Slice(at * ElementSize, ElementSize);
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[(packed ? 14 : 12)..]);
            if (!inTable)
            {
                slots++;
                id = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[12..]);
            }

            Span<byte> memory = At(address, length);
            if (memory.IsEmpty)
            {
                Malformed($"a descriptor has {length} bytes at 0x{address:x}, which are not mapped");
                break;
            }

            if ((flags & Indirect) != 0 && !inTable)
            {
                table = memory;
                (at, inTable) = (0, true);
                continue;
            }

            if ((flags & Write) != 0)
            {
                Fill(memory, first: written == 0);
                last = memory;
                written += length;
            }

            if (packed ? (inTable ? at + 1 >= table.Length / ElementSize : (flags & Next) == 0) : (flags & Next) == 0)
            {
                Finish(last);
                return _random.Next(16) == 0 ? (uint)_random.NextInt64(written + 1L) : written;
            }

            at = packed && !inTable ? (at + 1) % queue.Size : packed ? at + 1 : BinaryPrimitives.ReadUInt16LittleEndian(descriptor[14..]);
        }

        Malformed("a chain is longer than its queue, or leaves its table");
        slots = Math.Max(slots, 1);
        return written;
    }

    /// <summary>Zeroes are good news for most drivers, and a frame lies in one buffer.</summary>
    private void Fill(Span<byte> memory, bool first)
    {
        memory.Clear();
        if (first && _profile.Kind == DriverKind.Net && memory.Length > 12)
        {
            memory[10] = (byte)(_random.Next(8) == 0 ? _random.Next(256) : 1);
        }
    }

    private void Finish(Span<byte> last)
    {
        if (!last.IsEmpty && _profile.Kind != DriverKind.Net && _random.Next(16) == 0)
        {
            last[^1] = (byte)_random.Next(256);
        }
    }

    /// <summary>Where the device has not written over it itself, the driver makes no chain that cannot be.</summary>
    private void Malformed(string what)
    {
        if (_profile.RingLies == 0)
        {
            Complain(what);
        }
    }
}
