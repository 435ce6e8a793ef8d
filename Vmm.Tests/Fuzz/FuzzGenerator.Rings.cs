using System;
using System.Collections.Generic;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Fuzz;

/// <content>Ring contents: requests as the device types know them, with mistakes.</content>
internal sealed partial class FuzzGenerator
{
    private const ushort NextFlag = 1;
    private const ushort WriteFlag = 2;
    private const ushort IndirectFlag = 4;
    private const int BlockType = 2;
    private const int NetType = 1;
    private const int ConsoleType = 3;

    private readonly List<(ulong Address, uint Length, bool Writable)> _buffers = [];

    private void PlanRequests(FunctionModel model)
    {
        QueueModel queue = model.Queues[_random.Next(model.Queues.Length)];
        bool waitsForHost = queue.Index == 0 && model.Type is (NetType or ConsoleType);
        if (!queue.IsEnabled || (waitsForHost && queue.Chains >= queue.Size))
        {
            return;
        }

        ushort firstSlot = queue.Available;
        bool firstWrap = queue.Wrap;
        bool answered = false;
        bool writes = false;
        int chains = queue.Size < 16 ? 1 : _random.Next(1, 4);
        for (int i = 0; i < chains; i++)
        {
            answered = DrawRequest(model, queue);
            writes = _buffers.Exists(static b => b.Writable);
            Spoil(model);
            AddChain(model, queue);
            if (queue.IsPacked)
            {
                break;
            }
        }

        if (!queue.IsPacked)
        {
            Store(model, queue.Driver + 2, 2, queue.Available);
        }

        if (_random.Next(16) == 0)
        {
            // What the driver wants of interrupts: flags, or an event index somewhere.
            Store(model, queue.Driver + (_random.Next(2) == 0 ? 0 : 4 + (2UL * queue.Size)), 2, _random.Next(2) == 0 ? queue.Available : AnyValue());
        }

        bool data = (model.Features & TransportFeatures.NotificationData) != 0;
        Write(model, data ? 4 : 2, model.Notify + (4UL * (ulong)queue.Index), (uint)queue.Index | (data ? (ulong)queue.Available << 16 : 0));
        if (!answered)
        {
            return;
        }

        ulong place = queue.IsPacked ? queue.Descriptors + (16UL * firstSlot) + 14 : queue.Device + 2;
        ulong value = queue.IsPacked ? (firstWrap ? 0x8080u : 0) | (writes ? 2u : 0) : queue.Available;
        model.Plan.Enqueue(new FuzzOperation(FuzzAction.Await, VcpuOf(model), (byte)model.Index, 0, 2, place, value));
    }

    /// <summary>Draws the buffers of a request; true if the device answers it at once.</summary>
    private bool DrawRequest(FunctionModel model, QueueModel queue)
    {
        _buffers.Clear();
        ulong at = queue.Buffers + ((ulong)_random.Next(4) * 0x1000);
        switch (model.Type)
        {
            case BlockType:
                uint type = _random.Next(8) switch { 0 => 4, 1 => 8, 2 => 11, 3 => 13, 4 => (uint)AnyValue(), 5 or 6 => 1, _ => 0 };
                Store(model, at, 4, type);
                Store(model, at + 8, 8, _random.Next(16) == 0 ? AnyValue() : (ulong)_random.Next(2040));
                _buffers.Add((at, 16, false));
                uint length = type is 11 or 13 ? 16u : type == 8 ? 20u : type == 4 ? 0u : 512u * (uint)_random.Next(1, 5);
                for (int i = 0; length != 0 && i < _random.Next(1, 3); i++)
                {
                    _buffers.Add((at + 0x20 + ((ulong)i * 0x800), length, type is 0 or 8));
                }

                _buffers.Add((at + 0x18, 1, true));
                return true;
            case NetType when queue.Index == 1:
                Store(model, at, 8, _random.Next(4) == 0 ? AnyValue() : 0);
                Store(model, at + 8, 4, _random.Next(4) == 0 ? AnyValue() : 0);
                _buffers.Add((at, 12, false));
                _buffers.Add((at + 12, (uint)_random.Next(1, 1600), false));
                return true;
            case NetType when queue.Index == 2:
                Store(model, at, 8, AnyValue());
                _buffers.Add((at, 2, false));
                _buffers.Add((at + 2, (uint)_random.Next(1, 16), false));
                _buffers.Add((at + 32, 1, true));
                return true;
            case ConsoleType when queue.Index == 1:
                _buffers.Add((at, (uint)_random.Next(1, 200), false));
                return true;
            default:
                for (int i = _random.Next(1, 4); i > 0; i--)
                {
                    _buffers.Add((at + ((ulong)i * 0x400), (uint)_random.Next(1, 0x400), true));
                }

                return model.Type != NetType && model.Type != ConsoleType;
        }
    }

    /// <summary>Now and then something is wrong with the buffers of a chain.</summary>
    private void Spoil(FunctionModel model)
    {
        int index = _random.Next(_buffers.Count);
        (ulong address, uint length, bool writable) = _buffers[index];
        switch (_random.Next(200))
        {
            case 0:
                _buffers[index] = (AnyRamAddress(), length, writable);
                break;
            case 1:
                _buffers[index] = (address, (uint)AnyValue(), writable);
                break;
            case 2:
                _buffers[index] = (address, length, !writable);
                break;
            case 3:
                _buffers.RemoveAt(index);
                break;
            case 4:
                _buffers.Insert(index, (AnyRamAddress(), (uint)_random.Next(0x4000), writable));
                break;
            case 5:
                // Across two regions, up to the end of one, past the end of the address space.
                ulong edge = FuzzRam.Layout[1].Address + FuzzRam.Layout[1].Length;
                _buffers[index] = (edge - (length / 2), length, writable);
                break;
            case 6:
                _buffers[index] = (FuzzRam.Layout[0].Address + FuzzRam.Layout[0].Length - length, length, writable);
                break;
            case 7:
                _buffers[index] = (0UL - length, length, writable);
                break;
            case 8:
                model.Plan.Enqueue(AnyRam(model));
                model.IsRunning = _random.Next(2) == 0;
                break;
        }
    }

    private void AddChain(FunctionModel model, QueueModel queue)
    {
        if (_buffers.Count == 0)
        {
            return;
        }

        queue.Chains++;
        bool mayBeIndirect = (model.Features & RingFeatures.IndirectDescriptors) != 0 || _random.Next(100) == 0;
        bool indirect = mayBeIndirect && (_buffers.Count > queue.Size || _random.Next(3) == 0);
        int slots = indirect ? 1 : Math.Min(_buffers.Count, (int)queue.Size);
        if (indirect)
        {
            ulong table = queue.Tables + (0x100UL * (ulong)_random.Next(8));
            for (int i = 0; i < _buffers.Count; i++)
            {
                bool more = i + 1 < _buffers.Count;
                int flags = (_buffers[i].Writable ? WriteFlag : 0) | (more && !queue.IsPacked ? NextFlag : 0);
                Descriptor(
                    model, table + (16UL * (ulong)i), _buffers[i].Address, _buffers[i].Length,
                    queue.IsPacked ? flags << 16 : flags | ((i + 1) << 16));
            }

            (uint length, int more16) = _random.Next(100) == 0 ? ((uint)_random.Next(200), (int)AnyValue() & 7) : (16 * (uint)_buffers.Count, 0);
            _buffers.Clear();
            _buffers.Add((table, length, (more16 & WriteFlag) != 0));
        }

        if (queue.IsPacked)
        {
            AddPacked(model, queue, slots, indirect);
        }
        else
        {
            AddSplit(model, queue, slots, indirect);
        }
    }

    private void AddSplit(FunctionModel model, QueueModel queue, int slots, bool indirect)
    {
        ushort head = (ushort)(queue.NextDescriptor % queue.Size);
        for (int i = 0; i < slots; i++)
        {
            int at = (head + i) % queue.Size;
            int next = _random.Next(400) == 0 ? _random.Next(0x10000) : (at + 1) % queue.Size;
            int flags = (_buffers[i].Writable ? WriteFlag : 0) | (i + 1 < slots ? NextFlag : 0) | (indirect ? IndirectFlag : 0);
            Descriptor(model, queue.Descriptors + (16UL * (ulong)at), _buffers[i].Address, _buffers[i].Length, flags | (next << 16));
        }

        queue.NextDescriptor += (ushort)slots;
        ulong entry = queue.Driver + 4 + (2UL * (ulong)(queue.Available % queue.Size));
        Store(model, entry, 2, _random.Next(400) == 0 ? AnyValue() : head);
        queue.Available++;
    }

    private void AddPacked(FunctionModel model, QueueModel queue, int slots, bool indirect)
    {
        ulong firstPlace = 0;
        int firstFlags = 0;
        for (int i = 0; i < slots; i++)
        {
            int flags = (_buffers[i].Writable ? WriteFlag : 0) | (i + 1 < slots ? NextFlag : 0) | (indirect ? IndirectFlag : 0)
                | (queue.Wrap ? 0x80 : 0x8000);
            ulong place = queue.Descriptors + (16UL * queue.Available);
            if (i == 0)
            {
                (firstPlace, firstFlags) = (place, flags);
                Store(model, place, 8, _buffers[i].Address);
                Store(model, place + 8, 4, _buffers[i].Length);
                Store(model, place + 12, 2, queue.Available);
            }
            else
            {
                Descriptor(model, place, _buffers[i].Address, _buffers[i].Length, queue.Available | (flags << 16));
            }

            if (++queue.Available == queue.Size)
            {
                queue.Available = 0;
                queue.Wrap = !queue.Wrap;
            }
        }

        // The first descriptor's flags come last: they make the chain available.
        Store(model, firstPlace + 14, 2, (ulong)firstFlags);
    }

    private void Descriptor(FunctionModel model, ulong place, ulong address, uint length, int upper)
    {
        Store(model, place, 8, address);
        Store(model, place + 8, 8, length | ((ulong)(uint)upper << 32));
    }

    private void Store(FunctionModel model, ulong address, int width, ulong value)
    {
        model.Plan.Enqueue(new FuzzOperation(FuzzAction.RamWrite, VcpuOf(model), (byte)model.Index, 0, (byte)width, address, value));
    }
}
