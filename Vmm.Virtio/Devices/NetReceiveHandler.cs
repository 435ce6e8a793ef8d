using System;
using System.Buffers.Binary;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Limits;
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
/// memory of their rooms, and come out of that one by one. Popped buffers that no packet needed stay popped for the next one; they go back to the
/// ring before a scope is left, or, while more are waited for, at the start of the next.
/// </para>
/// </remarks>
internal sealed class NetReceiveHandler : QueueHandler
{
    private const int MaximumChains = 256;
    private const int MaximumRooms = 32;
    private const int Portion = 64;

    // Packets in a row that have to be small before several are read at once.
    private const int SmallInARow = 16;

    private readonly NetDevice _device;
    private readonly INetBackend _backend;
    private readonly NetReceiveChains _chains;
    private readonly PacketBatch _rooms = new(MaximumRooms, 2 * PacketBatch.MaximumPieces);
    private readonly NetHostRooms _host = new(MaximumRooms);
    private readonly int[] _lengths = new int[MaximumRooms];
    private readonly bool _merges;
    private readonly RateLimiter? _limiter;
    private int _smallInARow;
    private int _inARow;
    private IWatch? _packets;

    public NetReceiveHandler(NetDevice device, INetBackend backend, Virtqueue queue)
        : base(queue)
    {
        _device = device;
        _backend = backend;
        _merges = device.MergesBuffers;
        _limiter = device.ReceiveLimiter;
        _chains = new NetReceiveChains(queue, _merges ? MaximumChains : MaximumRooms);
    }

    private enum Outcome
    {
        Delivered,
        NoPacket,
        NoRoom,
        Limited,
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
            _chains.GiveBack();
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
        _chains.GiveBack();
        Queue.DisableKicks();
        bool more = false;
        bool room = true;
        bool isLimited = false;
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
                isLimited = outcome == Outcome.Limited;
                break;
            }
        }

        Queue.SignalIfNeeded();
        if (room)
        {
            _chains.GiveBack();
        }

        // The limiter wakes it, and packets wait with the back-end until then.
        _packets!.Enabled = room && !more && !isLimited && !Queue.IsBroken;
        return more;
    }

    /// <summary>Has the back-end fill rooms, and completes the chains of the packets that are where they should be.</summary>
    private Outcome Receive(ref int left)
    {
        bool spreads = Spreads;
        int rooms = spreads ? 1 : Math.Clamp(_inARow, 1, Math.Min(MaximumRooms, left));
        if (_limiter is not null && (rooms = _limiter.Allow(rooms, _device.ReceiveRoom)) == 0)
        {
            return Outcome.Limited;
        }

        if (spreads)
        {
            MakeLargeRoom();
        }
        else
        {
            MakeRooms(rooms);
        }

        if (_rooms.Count == 0)
        {
            return Queue.IsBroken ? Outcome.Ended : Outcome.NoRoom;
        }

        NetReceiveResult result = _backend.ReceiveBatch(_rooms, _lengths, out int count);
        left -= count;
        if (_limiter is not null)
        {
            CountAgainstLimit(_lengths.AsSpan(0, count));
        }

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

    private void CountAgainstLimit(ReadOnlySpan<int> lengths)
    {
        long bytes = 0;
        foreach (int length in lengths)
        {
            bytes += Math.Max(0, length - NetHeader.Size);
        }

        _limiter!.Take(bytes, lengths.Length);
    }

    /// <summary>Makes one room of as many chains as the largest packet may need.</summary>
    private void MakeLargeRoom()
    {
        _rooms.Clear();
        _chains.PopUntil(_device.ReceiveRoom);
        if (_chains.Count > 0)
        {
            for (int i = 0; i < _chains.Count; i++)
            {
                _rooms.TryAppend(_chains[i]);
            }

            _host.Finish(_rooms, _chains.Capacity);
        }
    }

    /// <summary>Makes at most so many rooms of a chain each.</summary>
    private void MakeRooms(int count)
    {
        _rooms.Clear();
        _chains.PopUntil(long.MaxValue, count);
        for (int i = 0; i < Math.Min(_chains.Count, count); i++)
        {
            _rooms.TryAppend(_chains[i]);
            _host.Finish(_rooms, _chains[i].Length);
        }
    }

    /// <summary>Completes the chains of packets in their rooms, up to the first that cannot be; it and those behind it wait in host memory.</summary>
    private void Deliver(int count, bool spreads)
    {
        Span<byte> start = stackalloc byte[NetHeader.Size + NetDevice.EthernetHeaderSize];
        int placed = 0;
        int used = 0;
        long bytes = 0;
        for (; placed < count; placed++)
        {
            GuestBuffers packet = _rooms[placed];
            packet.CopyTo(start);
            int chains = _chains.Fill(_lengths[placed], used, spreads ? _chains.Count : used + 1);
            if (chains == 0 || !MayPass(start, _lengths[placed]))
            {
                break;
            }

            SetBufferCount(start, chains);
            packet.CopyFrom(start[..NetHeader.Size]);
            used += chains;
            bytes += _lengths[placed];
        }

        _smallInARow = used == placed ? Math.Min(_smallInARow + placed, SmallInARow) : 0;
        _chains.Complete(used);
        _device.CountReceived(Queue.Index / 2, bytes, placed);
        if (placed < count)
        {
            KeepFrom(placed, count);
        }
    }

    /// <summary>
    /// Copies packets to host memory, but drops those that may not be passed; and has what all of them left in buffers known as written: later ones
    /// may be shorter (MEM-5).
    /// </summary>
    private void KeepFrom(int first, int end)
    {
        for (int room = first; room < end; room++)
        {
            int length = _lengths[room];
            if (_chains[room - first].Length < length)
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

        _chains.GiveBack();
    }

    /// <summary>Passes the first of the packets that wait in host memory, or drops it because there cannot be room for it.</summary>
    private Outcome DeliverWaiting(ref int left)
    {
        Span<byte> packet = _host.First;
        _chains.PopUntil(packet.Length, _merges ? int.MaxValue : 1);
        if (_chains.Capacity < packet.Length)
        {
            if (Queue.IsBroken)
            {
                return Outcome.Ended;
            }

            // More buffers than there are now might come, unless there can be no more of them.
            if (_chains.Count == 0 || (_merges && _chains.MayGrow))
            {
                return Outcome.NoRoom;
            }

            _chains.GiveBack();
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
        int used = _chains.Fill(packet.Length, 0, _chains.Count);
        SetBufferCount(packet, used);
        ReadOnlySpan<byte> rest = packet;
        for (int i = 0; i < used; i++)
        {
            rest = rest[_chains[i].CopyFrom(rest)..];
        }

        _chains.Complete(used);
        _device.CountReceived(Queue.Index / 2, packet.Length, 1);
    }

    /// <summary>Whether a packet may be passed; makes its header keep to what the driver agreed to.</summary>
    /// <param name="start">The header and what there is of the Ethernet header.</param>
    /// <param name="length">Length of the packet.</param>
    private bool MayPass(Span<byte> start, int length) => length >= NetHeader.Size && _device.TryConformReceived(start, length);

    private static void SetBufferCount(Span<byte> header, int chains) =>
        BinaryPrimitives.WriteUInt16LittleEndian(header[NetHeader.BufferCountOffset..], (ushort)chains);
}
