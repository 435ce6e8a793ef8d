using System;
using System.Buffers.Binary;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves the queue of buffers for received packets (virtio 1.2, 5.1.6.3 and 5.1.6.4).</summary>
/// <remarks>
/// Buffers are popped until the largest packet fits or there are no more, and the packet is read straight into them, with host memory behind
/// the last one. What ends there waits until the driver has brought more buffers. Popped buffers that a packet did not need stay popped for the
/// next one; they go back to the ring before a scope is left, or, while more are waited for, at the start of the next.
/// </remarks>
internal sealed class NetReceiveHandler : QueueHandler
{
    private const int MaximumChains = 256;
    private const int MaximumPieces = 1023;
    private const int Portion = 64;

    private readonly NetDevice _device;
    private readonly INetBackend _backend;
    private readonly DescriptorChain[] _chains;
    private readonly uint[] _written;
    private readonly SegmentList _room = new(MaximumPieces + 1);
    private readonly byte[] _behind = GC.AllocateUninitializedArray<byte>(NetDevice.LargestPacket, pinned: true);
    private byte[] _waiting = [];
    private int _waitingLength;
    private int _popped;
    private int _pieces;
    private bool _full;
    private long _capacity;
    private IWatch? _packets;

    public NetReceiveHandler(NetDevice device, INetBackend backend, Virtqueue queue)
        : base(queue)
    {
        _device = device;
        _backend = backend;
        int chains = device.MergesBuffers ? Math.Min(queue.Size, (ushort)MaximumChains) : 1;
        _chains = new DescriptorChain[chains];
        _written = new uint[chains];
        for (int i = 0; i < chains; i++)
        {
            _chains[i] = new DescriptorChain(4, MaximumPieces);
        }
    }

    private enum Outcome
    {
        Delivered,
        NoPacket,
        NoRoom,
        Ended,
    }

    protected override void OnStart()
    {
        _packets = WatchReadable(_backend.Descriptor, Run);
        _packets.Enabled = false;
    }

    protected override void OnStop()
    {
        using (Queue.Enter())
        {
            GiveBack();
        }

        if (_waitingLength != 0)
        {
            _waitingLength = 0;
            _device.CountReceiveDrop();
        }
    }

    protected override bool Serve()
    {
        // One stay for the portion: nothing in it waits, and popped buffers are kept from packet to packet.
        using AccessDomain.ReadScope scope = Queue.Enter();
        GiveBack();
        Queue.DisableKicks();
        bool more = false;
        bool room = true;
        for (int packets = 0; !IsStopping; packets++)
        {
            if (packets == Portion)
            {
                more = true;
                break;
            }

            Outcome outcome = Receive();
            if (outcome == Outcome.NoRoom)
            {
                // Popped buffers stay popped, so that the driver is asked for what comes after them.
                room = false;
                Queue.SignalIfNeeded();
                if (!Queue.EnableKicksAndCheckForMore())
                {
                    break;
                }

                Queue.DisableKicks();
                room = true;
            }
            else if (outcome != Outcome.Delivered)
            {
                room = outcome != Outcome.Ended;
                break;
            }
        }

        Queue.SignalIfNeeded();
        if (room)
        {
            GiveBack();
        }

        _packets!.Enabled = room && !more && !Queue.IsBroken;
        return more;
    }

    private Outcome Receive()
    {
        int wanted = _waitingLength != 0 ? _waitingLength : _device.ReceiveRoom;
        PopUntil(wanted);
        if (_popped == 0)
        {
            return Queue.IsBroken ? Outcome.Ended : Outcome.NoRoom;
        }

        if (_waitingLength != 0)
        {
            return DeliverWaiting();
        }

        _room.Clear();
        for (int i = 0; i < _popped; i++)
        {
            _room.TryAdd(_chains[i].Writable);
        }

        _room.TryAddPinned(_behind, _behind.Length);
        switch (_backend.Receive(_room.Buffers, out int length))
        {
            case NetReceiveResult.Empty:
                return Outcome.NoPacket;
            case NetReceiveResult.Gone:
                _device.LinkUp = false;
                return Outcome.Ended;
        }

        if (!TryConform(length))
        {
            Drop();
            return Outcome.Delivered;
        }

        if (length <= _capacity)
        {
            Deliver(length);
            return Outcome.Delivered;
        }

        Keep(length);
        return DeliverWaiting();
    }

    /// <summary>Counts a packet that is not passed, and has what it left in buffers known as written: the next one may be shorter (MEM-5).</summary>
    private void Drop()
    {
        GiveBack();
        _device.CountReceiveDrop();
    }

    /// <summary>Makes the header of a packet that was read keep to what the driver agreed to.</summary>
    /// <returns>False if the packet is malformed or must not be passed.</returns>
    private bool TryConform(int length)
    {
        if (length < NetHeader.Size)
        {
            return false;
        }

        Span<byte> start = stackalloc byte[NetHeader.Size + NetDevice.EthernetHeaderSize];
        _room.Buffers.CopyTo(start);
        bool passes = _device.TryConformReceived(start, length);
        _room.Buffers.CopyFrom(start[..NetHeader.Size]);
        return passes;
    }

    /// <summary>Copies the packet that did not fit to host memory of its own.</summary>
    private void Keep(int length)
    {
        if (_waiting.Length == 0)
        {
            _waiting = GC.AllocateUninitializedArray<byte>(NetDevice.LargestPacket * 2);
        }

        _waitingLength = _room.Buffers.CopyTo(_waiting.AsSpan(0, Math.Min(length, _waiting.Length)));
    }

    private Outcome DeliverWaiting()
    {
        PopUntil(_waitingLength);
        if (_capacity < _waitingLength)
        {
            if (Queue.IsBroken)
            {
                return Outcome.Ended;
            }

            // More buffers than there are now might come, unless there can be no more of them.
            if (_popped < _chains.Length && !_full && HasRingRoom())
            {
                return Outcome.NoRoom;
            }

            _waitingLength = 0;
            Drop();
            _device.DoWithoutLargePackets();
            return Outcome.Delivered;
        }

        int length = _waitingLength;
        ReadOnlySpan<byte> rest = _waiting.AsSpan(0, length);
        for (int i = 0; i < _popped && !rest.IsEmpty; i++)
        {
            rest = rest[_chains[i].Writable.CopyFrom(rest)..];
        }

        _waitingLength = 0;
        Deliver(length);
        return Outcome.Delivered;
    }

    /// <summary>Whether the driver has descriptors left for one more buffer like those it has posted, all of which are popped.</summary>
    private bool HasRingRoom()
    {
        uint taken = 0;
        uint largest = 0;
        for (int i = 0; i < _popped; i++)
        {
            taken += _chains[i].RingDescriptors;
            largest = Math.Max(largest, _chains[i].RingDescriptors);
        }

        return taken + largest <= Queue.Size;
    }

    /// <summary>Completes as many popped chains as the packet in them fills.</summary>
    private void Deliver(int length)
    {
        int used = 0;
        for (long left = length; left > 0; used++)
        {
            long part = Math.Min(left, _chains[used].WritableLength);
            _written[used] = (uint)part;
            left -= part;
        }

        Span<byte> count = stackalloc byte[sizeof(ushort)];
        BinaryPrimitives.WriteUInt16LittleEndian(count, (ushort)used);
        _room.Clear();
        for (int i = 0; i < used && _room.Buffers.Length < NetHeader.Size; i++)
        {
            _room.TryAdd(_chains[i].Writable);
        }

        _room.Buffers.Slice(NetHeader.BufferCountOffset).CopyFrom(count);
        Queue.CompleteTogether(_chains.AsSpan(0, used), _written.AsSpan(0, used));
        for (int i = 0; i < used; i++)
        {
            _capacity -= _chains[i].WritableLength;
            _pieces -= _chains[i].Writable.Count;
        }

        _popped -= used;
        _full = false;
        Rotate(used);
    }

    /// <summary>Puts the chains that are free again behind those that are popped.</summary>
    private void Rotate(int used)
    {
        if (_popped == 0)
        {
            return;
        }

        // Only what is popped is moved; both parts are short.
        for (int i = 0; i < _popped; i++)
        {
            (_chains[i], _chains[i + used]) = (_chains[i + used], _chains[i]);
        }
    }

    private void PopUntil(long wanted)
    {
        while (_capacity < wanted && _popped < _chains.Length && !_full && Queue.TryPop(_chains[_popped]))
        {
            DescriptorChain chain = _chains[_popped];
            if (chain.WritableLength == 0 || chain.Writable.Count > MaximumPieces - _pieces)
            {
                if (chain.WritableLength == 0)
                {
                    Queue.MarkBroken("a buffer for received packets without room");
                }
                else
                {
                    // It waits until those before it are used: a chain alone has no more pieces than fit.
                    Queue.UndoPop(chain);
                    _full = true;
                }

                return;
            }

            _popped++;
            _capacity += chain.WritableLength;
            _pieces += chain.Writable.Count;
        }
    }

    private void GiveBack()
    {
        while (_popped > 0)
        {
            _popped--;
            Queue.UndoPop(_chains[_popped]);
        }

        _capacity = 0;
        _pieces = 0;
        _full = false;
    }
}
