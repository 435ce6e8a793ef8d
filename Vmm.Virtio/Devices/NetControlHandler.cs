using System;
using System.Buffers.Binary;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves the control queue: class, command, data, and a byte for the answer (virtio 1.2, 5.1.6.5).</summary>
internal sealed class NetControlHandler : RequestHandler
{
    private const byte Acknowledged = 0;
    private const byte Refused = 1;

    private readonly NetDevice _device;
    private long _cleared;
    private byte _answer;

    public NetControlHandler(NetDevice device, Virtqueue queue)
        : base(queue)
    {
        _device = device;
    }

    protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
    {
        written = 0;
        if (chain.WritableLength == 0)
        {
            Queue.MarkBroken("a control command without a byte for its answer");
            return RequestOutcome.Done;
        }

        if (!IsContinued)
        {
            Span<byte> command = stackalloc byte[2];
            bool done = chain.Readable.CopyTo(command) == command.Length
                && Execute(command[0], command[1], chain.Readable.Slice(command.Length));
            _answer = done ? Acknowledged : Refused;
            _cleared = 0;
        }

        // The answer is the last byte; what comes before it is cleared, so that the used length is true.
        long last = chain.WritableLength - 1;
        if (!ClearPart(chain.Writable.Slice(0, last), ref _cleared))
        {
            return RequestOutcome.Continue;
        }

        chain.Writable.Slice(last).Fill(_answer);
        written = WholeLength(chain);
        return RequestOutcome.Done;
    }

    private bool Execute(byte category, byte command, GuestBuffers data)
    {
        Span<byte> bytes = stackalloc byte[8];
        switch (category, command)
        {
            // Receive modes and address filters ask for no more than what the card does without them: it filters nothing.
            case (0, 0 or 1):
                return _device.HasNegotiated(NetFeatures.ControlReceiveMode) && data.Length == 1;
            case (1, 0):
                return _device.HasNegotiated(NetFeatures.ControlReceiveMode) && IsAddressTable(data);
            case (1, 1):
                return data.Length == MacAddress.Size && data.CopyTo(bytes) == MacAddress.Size
                    && _device.TrySetMac(MacAddress.FromBytes(bytes));
            case (4, 0):
                return data.Length == sizeof(ushort) && data.CopyTo(bytes) == sizeof(ushort)
                    && _device.TrySetPairs(BinaryPrimitives.ReadUInt16LittleEndian(bytes));
            case (5, 0):
                return data.Length == sizeof(ulong) && data.CopyTo(bytes) == sizeof(ulong)
                    && _device.TrySetGuestOffloads(BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            default:
                return false;
        }
    }

    /// <summary>Two lists, unicast and multicast, each a count of 4 bytes and that many addresses.</summary>
    private static bool IsAddressTable(GuestBuffers data)
    {
        Span<byte> count = stackalloc byte[sizeof(uint)];
        for (int list = 0; list < 2; list++)
        {
            if (data.CopyTo(count) < sizeof(uint))
            {
                return false;
            }

            long length = (long)BinaryPrimitives.ReadUInt32LittleEndian(count) * MacAddress.Size;
            if (length > data.Length - sizeof(uint))
            {
                return false;
            }

            data = data.Slice(sizeof(uint) + length);
        }

        return data.IsEmpty;
    }
}
