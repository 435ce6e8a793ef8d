using System;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance.Driving;

/// <summary>The least that each device type can be asked to do: it completes a buffer and changes nothing that anybody keeps.</summary>
/// <remarks>A block device reads its first sector, a network device sends one broadcast frame of an experimental type, a console prints a space,
/// an entropy device gives bytes.</remarks>
internal static class Work
{
    private const int Header = 0;
    private const int Payload = 64;
    private const int Sector = 512;

    /// <summary>The queue to ask on, or null if the suite has nothing to ask of the type.</summary>
    public static int? QueueOf(int deviceType) => (VirtioDeviceType)deviceType switch
    {
        VirtioDeviceType.Net or VirtioDeviceType.Console => 1,
        VirtioDeviceType.Block or VirtioDeviceType.Entropy => 0,
        _ => null,
    };

    /// <summary>Makes one request available.</summary>
    public static void Submit(int deviceType, RawQueue queue)
    {
        Span<byte> data = queue.Data;
        switch ((VirtioDeviceType)deviceType)
        {
            case VirtioDeviceType.Block:
                // Two descriptors, so that it fits into the smallest queue: the status is the last byte that is written (2.7.4).
                data[..16].Clear();
                data[Payload + Sector] = 0xff;
                queue.Submit(At(queue, Header, 16, false), At(queue, Payload, Sector + 1, true));
                break;
            case VirtioDeviceType.Net:
                data[..72].Clear();
                data.Slice(12, 6).Fill(0xff);
                data[18] = 0x02;
                (data[24], data[25]) = (0x88, 0xb5);
                queue.Submit(At(queue, Header, 72, false));
                break;
            case VirtioDeviceType.Console:
                data[Payload] = (byte)' ';
                queue.Submit(At(queue, Payload, 1, false));
                break;
            default:
                queue.Submit(At(queue, Payload, 64, true));
                break;
        }
    }

    private static DriverSegment At(RawQueue queue, int offset, uint length, bool deviceWrites) =>
        new(queue.DataAddress + (uint)offset, length, deviceWrites);
}
