using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Host memory behind the rooms for received packets, so that each takes the largest; and packets that wait in it, in order.</summary>
/// <remarks>The memory of a room is made when the room is used first, and lasts. A receive worker's own.</remarks>
internal sealed class NetHostRooms
{
    // The largest packet with a VLAN tag.
    private const int RoomSize = NetDevice.LargestPacket + 4;

    private readonly byte[]?[] _rooms;
    private readonly (int Room, int Length)[] _waiting;
    private int _first;
    private int _end;

    /// <param name="count">Rooms.</param>
    public NetHostRooms(int count)
    {
        _rooms = new byte[count][];
        _waiting = new (int, int)[count];
    }

    /// <summary>True if no packet waits.</summary>
    public bool IsEmpty => _first == _end;

    /// <summary>The packet that has waited longest.</summary>
    public Span<byte> First => _rooms[_waiting[_first].Room].AsSpan(0, _waiting[_first].Length);

    /// <summary>Finishes a room with its host memory.</summary>
    /// <param name="rooms">The batch that it is the next of.</param>
    /// <param name="before">Bytes of it in guest memory.</param>
    public void Finish(PacketBatch rooms, long before)
    {
        byte[] memory = _rooms[rooms.Count] ??= GC.AllocateUninitializedArray<byte>(RoomSize, pinned: true);
        if (before < RoomSize)
        {
            // Where it would lie if all of the packet did.
            rooms.TryAppendPinned(memory, (int)before, RoomSize - (int)before);
        }

        rooms.Finish();
    }

    /// <summary>Copies all of a packet to the host memory of its room.</summary>
    /// <param name="room">Its room.</param>
    /// <param name="packet">The packet in the room, header included.</param>
    /// <param name="length">Length of the packet.</param>
    /// <returns>The packet; shorter if it was cut off.</returns>
    public Span<byte> Copy(int room, GuestBuffers packet, int length)
    {
        Span<byte> memory = _rooms[room].AsSpan(0, Math.Min(length, RoomSize));
        return memory[..packet.CopyTo(memory)];
    }

    /// <summary>Has the packet that was copied wait behind the others. All have been taken before rooms are filled anew.</summary>
    public void Add(int room, int length)
    {
        if (IsEmpty)
        {
            (_first, _end) = (0, 0);
        }

        _waiting[_end++] = (room, length);
    }

    /// <summary>Lets go of the packet that has waited longest.</summary>
    public void RemoveFirst() => _first++;
}
