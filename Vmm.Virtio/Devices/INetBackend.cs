using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>The host's end of one pair of queues of a network card. Packets begin with the 12-byte header of virtio 1.2, 5.1.6.</summary>
/// <remarks>
/// <para>
/// No method throws and none waits. Packets are taken and sent on the worker of the pair; <see cref="SetOffloads"/> and <see cref="SetReceiving"/>
/// may come from another thread meanwhile.
/// </para>
/// <para>
/// The device takes and sends several packets a call, <see cref="ReceiveBatch"/> and <see cref="SendBatch"/>. A back-end that moves them one by one
/// has nothing to do for that: it implements <see cref="Receive"/> and <see cref="Send"/>, which these call for each.
/// </para>
/// </remarks>
public interface INetBackend : IDisposable
{
    /// <summary>A descriptor that polls readable when a packet is there.</summary>
    int Descriptor { get; }

    /// <summary>Takes one packet.</summary>
    /// <param name="destination">Where to, header first; the device fills in num_buffers.</param>
    /// <param name="length">Length of the packet with its header; what did not fit is lost.</param>
    /// <returns>Whether there was a packet, and whether there ever will be.</returns>
    NetReceiveResult Receive(GuestBuffers destination, out int length);

    /// <summary>Sends one packet.</summary>
    /// <param name="packet">Header first.</param>
    /// <returns>False if it was dropped.</returns>
    bool Send(GuestBuffers packet);

    /// <summary>
    /// Takes packets as <see cref="Receive"/> does, until there is no more room or no packet: in order, one a room, from the first room on.
    /// </summary>
    /// <param name="rooms">Rooms, at least one. Those behind the packets that were taken may have been written too.</param>
    /// <param name="lengths">Filled with the length of each packet; as many as there are rooms, or more.</param>
    /// <param name="count">Packets that were taken, whatever is returned.</param>
    /// <returns>A packet for every room, or why there are fewer.</returns>
    NetReceiveResult ReceiveBatch(PacketBatch rooms, Span<int> lengths, out int count) => ReceiveEach(this, rooms, lengths, out count);

    /// <summary>Sends packets as <see cref="Send"/> does, in order.</summary>
    /// <param name="packets">At least one.</param>
    /// <returns>How many of them were dropped.</returns>
    int SendBatch(PacketBatch packets) => SendEach(this, packets);

    /// <summary>Says what received packets may look like from now on.</summary>
    /// <param name="offloads">What the guest can do by itself.</param>
    /// <returns>False if the back-end cannot.</returns>
    bool SetOffloads(NetOffloads offloads);

    /// <summary>
    /// Says whether packets for the card may come here or have to go to its other pairs; called only where a card has several. Sending goes on
    /// either way.
    /// </summary>
    /// <param name="receiving">False until the first call.</param>
    /// <returns>False if the back-end cannot.</returns>
    bool SetReceiving(bool receiving) => true;

    /// <summary><see cref="ReceiveBatch"/> by one call of <see cref="Receive"/> a packet.</summary>
    internal static NetReceiveResult ReceiveEach(INetBackend backend, PacketBatch rooms, Span<int> lengths, out int count)
    {
        NetReceiveResult result = NetReceiveResult.Packet;
        for (count = 0; count < rooms.Count; count++)
        {
            result = backend.Receive(rooms[count], out lengths[count]);
            if (result != NetReceiveResult.Packet)
            {
                break;
            }
        }

        return result;
    }

    /// <summary><see cref="SendBatch"/> by one call of <see cref="Send"/> a packet.</summary>
    internal static int SendEach(INetBackend backend, PacketBatch packets)
    {
        int dropped = 0;
        for (int i = 0; i < packets.Count; i++)
        {
            dropped += backend.Send(packets[i]) ? 0 : 1;
        }

        return dropped;
    }
}
