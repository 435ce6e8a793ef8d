using System;
using System.Buffers.Binary;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves the queue of buffers for received packets (virtio 1.2, 5.1.6.3 and 5.1.6.4).</summary>
/// <remarks>
/// <para>
/// Packets are read straight into the driver's buffers, with host memory behind them for one that is larger. While packets are small, each chain is
/// the room of one, and as many rooms are given to the back-end as packets have come since it had none last: what is asked for in vain is never more
/// than what came. Where the driver merges buffers and a packet did not fit into one, chains are popped until the largest packet fits, for one
/// packet at a time, until several in a row have been small again.
/// </para>
/// <para>
/// A packet that has to wait for more buffers, or is not passed, breaks the order of the chains: it and those read behind it are copied to the host
/// memory of their rooms, and come out of that one by one. Popped buffers that no packet needed stay popped for the next one; they go back to the ring
/// before a scope is left, or, while more are waited for, at the start of the next.
/// </para>
/// </remarks>
internal sealed class NetReceiveHandler : QueueHandler
{
    private const int MaximumChains = 256;
    private const int MaximumRooms = 32;
    private const int MaximumPieces = PacketBatch.MaximumPieces - 1;
    private const int Portion = 64;

    // Packets in a row that have to be small before several are read at once.
    private const int SmallInARow = 16;

    private readonly NetDevice _device;
    private readonly INetBackend _backend;
    private readonly DescriptorChain[] _chains;
    private readonly uint[] _written;
    private readonly PacketBatch _rooms = new(MaximumRooms, 2 * PacketBatch.MaximumPieces);
    private readonly NetHostRooms _host = new(MaximumRooms);
    private readonly int[] _lengths = new int[MaximumRooms];
    private readonly bool _merges;
    private int _popped;
    private int _pieces;
    private bool _full;
    private long _capacity;
    private int _smallInARow;
    private int _inARow;
    private IWatch? _packets;

    public NetReceiveHandler(NetDevice device, INetBackend backend, Virtqueue queue)
        : base(queue)
    {
        _device = device;
        _backend = backend;
        _merges = device.MergesBuffers;
        int chains = Math.Min(queue.Size, (ushort)(_merges ? MaximumChains : MaximumRooms));
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

    /// <summary>Whether the next packet gets a room of several chains.</summary>
    private bool Spreads => _merges && _smallInARow < SmallInARow;

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

        for (; !_host.IsEmpty; _host.RemoveFirst())
        {
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
        for (int left = Portion; !IsStopping;)
        {
            if (left <= 0)
            {
                more = true;
                break;
            }

            Outcome outcome = _host.IsEmpty ? Receive(ref left) : DeliverWaiting(ref left);
            if (outcome == Outcome.NoRoom)
            {
                // Popped buffers stay popped, so that the driver is asked for what comes after them.
                room = false;
                Queue.SignalIfNeeded();
                if (!Queue.EnableKicksAndCheckForMore())
                {
                    break;
                }

                left--;
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

    /// <summary>Has the back-end fill rooms, and completes the chains of the packets that are where they should be.</summary>
    private Outcome Receive(ref int left)
    {
        bool spreads = Spreads;
        if (spreads)
        {
            MakeLargeRoom();
        }
        else
        {
            MakeRooms(Math.Clamp(_inARow, 1, Math.Min(MaximumRooms, left)));
        }

        if (_rooms.Count == 0)
        {
            return Queue.IsBroken ? Outcome.Ended : Outcome.NoRoom;
        }

        NetReceiveResult result = _backend.ReceiveBatch(_rooms, _lengths, out int count);
        left -= count;
        _inARow = result == NetReceiveResult.Packet ? Math.Min(_inARow + count, MaximumRooms) : 0;
        Deliver(count, spreads);
        if (!_host.IsEmpty || result == NetReceiveResult.Packet)
        {
            return Outcome.Delivered;
        }

        if (result == NetReceiveResult.Gone)
        {
            _device.LinkUp = false;
            return Outcome.Ended;
        }

        return Outcome.NoPacket;
    }

    /// <summary>Makes one room of as many chains as the largest packet may need.</summary>
    private void MakeLargeRoom()
    {
        _rooms.Clear();
        PopUntil(_device.ReceiveRoom, _chains.Length);
        if (_popped > 0)
        {
            for (int i = 0; i < _popped; i++)
            {
                _rooms.TryAppend(_chains[i].Writable);
            }

            _host.Finish(_rooms, _capacity);
        }
    }

    /// <summary>Makes at most so many rooms of a chain each.</summary>
    private void MakeRooms(int count)
    {
        _rooms.Clear();
        PopUntil(long.MaxValue, count);
        for (int i = 0; i < Math.Min(_popped, count); i++)
        {
            _rooms.TryAppend(_chains[i].Writable);
            _host.Finish(_rooms, _chains[i].WritableLength);
        }
    }

    /// <summary>Completes the chains of packets in their rooms, up to the first that cannot be; it and those behind it wait in host memory.</summary>
    private void Deliver(int count, bool spreads)
    {
        Span<byte> start = stackalloc byte[NetHeader.Size + NetDevice.EthernetHeaderSize];
        int placed = 0;
        int used = 0;
        for (; placed < count; placed++)
        {
            GuestBuffers packet = _rooms[placed];
            packet.CopyTo(start);
            int chains = CountChains(_lengths[placed], used, spreads ? _popped : used + 1);
            if (chains == 0 || !MayPass(start, _lengths[placed]))
            {
                break;
            }

            SetBufferCount(start, chains);
            packet.CopyFrom(start[..NetHeader.Size]);
            used += chains;
        }

        _smallInARow = used == placed ? Math.Min(_smallInARow + placed, SmallInARow) : 0;
        Complete(used);
        if (placed < count)
        {
            KeepFrom(placed, count);
        }
    }

    /// <summary>
    /// Copies packets to host memory, but drops those that may not be passed; and has what all of them left in buffers known as written: later ones may
    /// be shorter (MEM-5).
    /// </summary>
    private void KeepFrom(int first, int end)
    {
        for (int room = first; room < end; room++)
        {
            int length = _lengths[room];
            if (_chains[room - first].WritableLength < length)
            {
                _smallInARow = 0;
            }

            Span<byte> packet = _host.Copy(room, _rooms[room], length);
            if (packet.Length == length && MayPass(packet, length))
            {
                _host.Add(room, length);
            }
            else
            {
                _device.CountReceiveDrop();
            }
        }

        GiveBack();
    }

    /// <summary>Passes the first of the packets that wait in host memory, or drops it because there cannot be room for it.</summary>
    private Outcome DeliverWaiting(ref int left)
    {
        Span<byte> packet = _host.First;
        PopUntil(packet.Length, _merges ? _chains.Length : 1);
        if (_capacity < packet.Length)
        {
            if (Queue.IsBroken)
            {
                return Outcome.Ended;
            }

            // More buffers than there are now might come, unless there can be no more of them.
            if (_popped == 0 || (_merges && _popped < _chains.Length && !_full && HasRingRoom()))
            {
                return Outcome.NoRoom;
            }

            GiveBack();
            _device.CountReceiveDrop();
            _device.DoWithoutLargePackets();
        }
        else
        {
            Pass(packet);
        }

        left--;
        _host.RemoveFirst();
        return Outcome.Delivered;
    }

    /// <summary>Copies a packet into as many popped chains as it fills, and completes them.</summary>
    private void Pass(Span<byte> packet)
    {
        int used = CountChains(packet.Length, 0, _popped);
        SetBufferCount(packet, used);
        ReadOnlySpan<byte> rest = packet;
        for (int i = 0; i < used; i++)
        {
            rest = rest[_chains[i].Writable.CopyFrom(rest)..];
        }

        Complete(used);
    }

    /// <summary>Has a packet fill chains.</summary>
    /// <param name="length">Its length.</param>
    /// <param name="first">The first chain.</param>
    /// <param name="end">Where the chains end that it may fill.</param>
    /// <returns>How many it fills, or 0 if they have no room for it.</returns>
    private int CountChains(int length, int first, int end)
    {
        int chain = first;
        for (long left = length; left > 0; chain++)
        {
            if (chain == end)
            {
                return 0;
            }

            long part = Math.Min(left, _chains[chain].WritableLength);
            _written[chain] = (uint)part;
            left -= part;
        }

        return chain - first;
    }

    /// <summary>Whether a packet may be passed; makes its header keep to what the driver agreed to.</summary>
    /// <param name="start">The header and what there is of the Ethernet header.</param>
    /// <param name="length">Length of the packet.</param>
    private bool MayPass(Span<byte> start, int length) => length >= NetHeader.Size && _device.TryConformReceived(start, length);

    private static void SetBufferCount(Span<byte> header, int chains) =>
        BinaryPrimitives.WriteUInt16LittleEndian(header[NetHeader.BufferCountOffset..], (ushort)chains);

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

    /// <summary>Completes the first popped chains; those that are left are the first then.</summary>
    private void Complete(int used)
    {
        if (used == 0)
        {
            return;
        }

        Queue.CompleteTogether(_chains.AsSpan(0, used), _written.AsSpan(0, used));
        for (int i = 0; i < used; i++)
        {
            _capacity -= _chains[i].WritableLength;
            _pieces -= _chains[i].Writable.Count;
        }

        _popped -= used;
        _full = false;
        for (int i = 0; i < _popped; i++)
        {
            (_chains[i], _chains[i + used]) = (_chains[i + used], _chains[i]);
        }
    }

    /// <summary>Pops chains until they have so many bytes, or there are so many of them, or no more.</summary>
    private void PopUntil(long wanted, int most)
    {
        while (_capacity < wanted && _popped < most && !_full && Queue.TryPop(_chains[_popped]))
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
