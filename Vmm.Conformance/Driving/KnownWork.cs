using System;
using System.Linq;
using Vmm.Virtio.Devices;

namespace Vmm.Conformance.Driving;

/// <summary>The work of the device types that the suite knows.</summary>
internal static class KnownWork
{
    private const int Header = 16;
    private const int Sector = 512;
    private const int Frame = 72;

    /// <summary>A read of the first sector; the status is the last byte that is written, wherever that is (2.7.4).</summary>
    private static readonly QueueWork _block = new()
    {
        Queue = 0,
        Request = new byte[Header],
        Reply = [Sector, 1],
        IsRight = static (reply, _) => reply[Sector] == 0,
        RightReply = "status 0 of a read of sector 0",
    };

    /// <summary>One broadcast frame of an experimental type.</summary>
    private static readonly QueueWork _net = new() { Queue = 1, Request = MakeFrame() };

    private static readonly QueueWork _console = new() { Queue = 1, Request = Enumerable.Repeat((byte)' ', 8).ToArray() };

    private static readonly QueueWork _entropy = new()
    {
        Queue = 0,
        Reply = [64],
        IsRight = static (_, length) => length != 0,
        RightReply = "one byte of entropy at least",
    };

    /// <summary>The work of a type, or null if the suite has nothing to ask of it.</summary>
    public static QueueWork? Of(int deviceType) => (VirtioDeviceType)deviceType switch
    {
        VirtioDeviceType.Block => _block,
        VirtioDeviceType.Net => _net,
        VirtioDeviceType.Console => _console,
        VirtioDeviceType.Entropy => _entropy,
        _ => null,
    };

    private static byte[] MakeFrame()
    {
        byte[] frame = new byte[Frame];
        frame.AsSpan(12, 6).Fill(0xff);
        frame[18] = 0x02;
        (frame[24], frame[25]) = (0x88, 0xb5);
        return frame;
    }
}
