using System;
using System.Buffers.Binary;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Driver;

[Trait("Behaviour", "DRV-1")]
public sealed class NetDriverTests : IDisposable
{
    private const ulong Mergeable = 1UL << 15;
    private const ulong ControlQueue = 1UL << 17;

    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(20);
    private static readonly MacAddress _mac = new(0x5254_0012_3456);

    private readonly FakeNetBackend _backend = new();
    private readonly HostileAccess _card;

    public NetDriverTests()
    {
        _card = new HostileAccess(dma => new VirtioPciFunction(
            new NetDevice(_backend, new NetDeviceOptions { Mac = _mac }), dma, new VirtioPciOptions { PackedRing = true }));
    }

    public static TheoryData<ulong, ulong, CompletionMode> Forms => new()
    {
        { 0, 0, CompletionMode.Messages },
        { 0, Mergeable, CompletionMode.Messages },
        { RingFeatures.Packed | RingFeatures.EventIndex, 0, CompletionMode.Messages },
        { RingFeatures.Packed, Mergeable, CompletionMode.Pin },
        { RingFeatures.EventIndex | RingFeatures.IndirectDescriptors, 0, CompletionMode.Pin },
        { RingFeatures.Packed | RingFeatures.IndirectDescriptors, 0, CompletionMode.Polling },
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void Frames_go_out_and_come_in(ulong required, ulong refused, CompletionMode completion)
    {
        using VirtioNetDriver net = Open(required, refused, completion);
        net.Mac.Should().Be(_mac);
        net.LinkUp.Should().BeTrue();
        net.MergesBuffers.Should().Be(refused != Mergeable);
        byte[] received = new byte[2000];
        net.TryReceive(received, TimeSpan.Zero, out _).Should().BeFalse();
        for (int i = 0; i < 500; i++)
        {
            byte[] frame = Frame(14 + (i * 3 % 1500), i);
            net.Transmit(frame);
            _backend.Arrive(frame);
            net.TryReceive(received, _patience, out int length).Should().BeTrue();
            received.AsSpan(0, length).SequenceEqual(frame).Should().BeTrue($"of frame {i}");
        }

        net.WaitTransmitted();
        _backend.Sent.Should().HaveCount(500);
        _backend.Sent.Select(
            (packet, i) => packet.AsSpan(0, 12).IndexOfAnyExcept((byte)0) < 0 && packet.AsSpan(12).SequenceEqual(Frame(14 + (i * 3 % 1500), i)))
            .Should().OnlyContain(same => same);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_frame_lies_in_as_many_buffers_as_it_needs(bool packed)
    {
        using VirtioNetDriver net = Open(packed ? RingFeatures.Packed : 0, 0, CompletionMode.Messages,
            new NetDriverOptions { BufferSize = 128, QueueSize = 32 });
        byte[] received = new byte[2000];
        for (int i = 0; i < 300; i++)
        {
            byte[] frame = Frame(1 + (i * 17 % 1514), i);
            _backend.Arrive(frame);
            net.TryReceive(received, _patience, out int length).Should().BeTrue();
            received.AsSpan(0, length).SequenceEqual(frame).Should().BeTrue($"of frame {i}");
        }

        // What there is no room for is lost and said.
        _backend.Arrive(Frame(1000, 1));
        net.TryReceive(received.AsSpan(0, 10), _patience, out int whole).Should().BeTrue();
        whole.Should().Be(1000);
        net.Invoking(n => n.Transmit(new byte[117])).Should().Throw<ArgumentException>();
        net.Invoking(n => n.Transmit([])).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Commands_are_answered()
    {
        using (VirtioNetDriver net = Open(0, 0, CompletionMode.Messages))
        {
            var other = new MacAddress(0x5254_0099_0001);
            net.TrySetMac(other).Should().BeTrue();
            net.Mac.Should().Be(other);
            net.TrySetMac(new MacAddress(0x0100_0000_0000)).Should().BeFalse("a group address is none for a card");
            net.TrySetPromiscuous(true).Should().BeTrue();
            net.Control(0x7f, 1, [1]).Should().BeFalse();
        }

        using VirtioNetDriver plain = Open(0, ControlQueue, CompletionMode.Messages);
        plain.Driver.Queues.Should().HaveCount(2);
        plain.Invoking(n => n.TrySetPromiscuous(true)).Should().Throw<NotSupportedException>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-6")]
    public void The_carrier_is_followed()
    {
        using VirtioNetDriver net = Open(0, 0, CompletionMode.Messages);
        var device = (NetDevice)((VirtioPciFunction)_card.Inner.Function).Device;
        net.LinkUp.Should().BeTrue();
        device.LinkUp = false;
        net.Driver.WaitConfigurationChange(_patience).Should().BeTrue();
        net.LinkUp.Should().BeFalse();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(33)]
    [InlineData(2)]
    public void A_number_of_buffers_that_cannot_be_is_refused(ushort buffers)
    {
        using VirtioNetDriver net = Open(0, 0, CompletionMode.Polling, new NetDriverOptions { QueueSize = 32 });
        _backend.Arrive(Frame(100, 1));
        Eventually.Holds(() => net.Driver.Queues[0].HasCompletion(), "the frame is in its buffer");

        // The used ring names the buffer.
        net.Driver.Common.QueueSelect = 0;
        Span<byte> table = _card.MemoryAt(net.Driver.Common.QueueDescriptors);
        uint id = BinaryPrimitives.ReadUInt32LittleEndian(_card.MemoryAt(net.Driver.Common.QueueDevice)[4..]);
        ulong at = BinaryPrimitives.ReadUInt64LittleEndian(table[((int)id * 16)..]);
        BinaryPrimitives.WriteUInt16LittleEndian(_card.MemoryAt(at)[10..], buffers);
        net.Invoking(n => n.TryReceive(new byte[100], TimeSpan.Zero, out _)).Should().Throw<DriverException>().Which.Step.Should().Be("receive");
    }

    public void Dispose() => _card.Dispose();

    private static byte[] Frame(int length, int seed) => [.. Enumerable.Range(0, length).Select(i => (byte)((i * 7) + seed))];

    private VirtioNetDriver Open(ulong required, ulong refused, CompletionMode completion, NetDriverOptions? net = null)
    {
        return VirtioNetDriver.Open(
            _card, new VirtioDriverOptions { RequiredFeatures = required, RefusedFeatures = refused, Completion = completion }, net);
    }
}
