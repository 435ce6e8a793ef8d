using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>The host's end of one pair of queues of a network card. Packets begin with the 12-byte header of virtio 1.2, 5.1.6.</summary>
/// <remarks>
/// No method throws and none waits. Packets are taken and sent on the worker of the pair; <see cref="SetOffloads"/> and <see cref="SetReceiving"/>
/// may come from another thread meanwhile.
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
}
