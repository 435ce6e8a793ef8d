using System;
using System.Buffers.Binary;
using System.Linq;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>A real device whose addresses an IOMMU translates (VIRTIO_F_ACCESS_PLATFORM), and one that has requests before it starts.</summary>
public sealed class TranslationTests : IDisposable
{
    private const ulong Buffer = 0x8000;
    private const uint Length = 64;

    private readonly TransportRig _rig = new();
    private readonly VirtioPciFunction _function;
    private readonly TestDriver _driver;
    private readonly ShiftingTranslator _translator = new(1UL << 40);

    public TranslationTests()
    {
        _function = _rig.AddFunction(new EntropyDevice(), new VirtioPciOptions { AccessPlatform = true, PackedRing = true });
        _driver = new TestDriver(_rig.Memory, TransportRig.EcamBase + (2 << 15));
        _driver.Place(TransportRig.BarBase + 0x10_0000);
    }

    public void Dispose() => _rig.Dispose();

    [Theory]
    [Trait("Behaviour", "VTP-17")]
    [Trait("Behaviour", "VTP-14")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_request_that_was_there_before_DRIVER_OK_is_served_without_a_kick(bool packed)
    {
        _function.Dma!.Translator = _translator;
        Start(packed, _translator.Base, _translator.Base + Buffer);
        Eventually.Holds(() => IsUsed(packed), "the device looks at its ring when it starts");
        Read(Buffer, (int)Length).Should().NotEqual(new byte[Length], "random bytes are there");
        Read(Buffer + Length, 16).Should().Equal(new byte[16], "and none behind them");
        _driver.Status.Should().Be(0xf);
    }

    [Theory]
    [Trait("Behaviour", "VTP-17")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_ring_that_cannot_be_translated_is_a_failed_ring(bool packed)
    {
        _function.Dma!.Translator = _translator;
        Start(packed, 0, _translator.Base + Buffer);
        _driver.Status.Should().Be(0x4f);
        _function.CountOf(GuestMistake.BadRing).Should().Be(1);
        _driver.Status = 0;
        _driver.Status.Should().Be(0);
        Start(packed, _translator.Base, _translator.Base + Buffer);
        Eventually.Holds(() => IsUsed(packed), "a reset cures it");
    }

    [Theory]
    [Trait("Behaviour", "VTP-16")]
    [Trait("Behaviour", "VTP-17")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_buffer_that_cannot_be_translated_breaks_the_ring_and_touches_nothing(bool packed)
    {
        _function.Dma!.Translator = _translator;
        Start(packed, _translator.Base, Buffer);
        Eventually.Holds(() => _driver.Status == 0x4f, "the device asks for a reset");
        Read(Buffer, (int)Length).Should().Equal(new byte[Length]);
        IsUsed(packed).Should().BeFalse();
        _driver.Status = 0;
        _driver.Status.Should().Be(0);
    }

    /// <summary>One writable buffer is available, the queue's areas lie at an offset, and the driver goes all the way to DRIVER_OK.</summary>
    private void Start(bool packed, ulong offset, ulong buffer)
    {
        (ulong descriptors, ulong driver, ulong device) = TestDriver.Areas(0);
        byte[] descriptor = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, buffer);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor.AsSpan(8), Length);
        descriptor[packed ? 14 : 12] = packed ? (byte)0x82 : (byte)2;
        Write(descriptors, descriptor);
        Write(driver, packed ? new byte[4] : [0, 0, 1, 0, 0, 0]);
        Write(device, new byte[12]);
        _driver.Negotiate(TestDriver.Version1 | TransportFeatures.AccessPlatform | (packed ? RingFeatures.Packed : 0)).Should().BeTrue();
        _driver.SetUpQueue(0, size: 4, enable: false);
        _driver.Set(Reg.QueueDescriptors, 8, descriptors + offset);
        _driver.Set(Reg.QueueDriver, 8, driver + offset);
        _driver.Set(Reg.QueueDevice, 8, device + offset);
        _driver.Set(Reg.QueueEnable, 2, 1);
        _driver.Status = 0xf;
    }

    private bool IsUsed(bool packed)
    {
        (ulong descriptors, _, ulong device) = TestDriver.Areas(0);
        return packed ? (Read(descriptors + 14, 2)[1] & 0x80) != 0 : Read(device + 2, 2).SequenceEqual(new byte[] { 1, 0 });
    }

    private byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        _rig.Ram.TryRead(address, bytes).Should().BeTrue();
        return bytes;
    }

    private void Write(ulong address, byte[] bytes) => _rig.Ram.TryWrite(address, bytes).Should().BeTrue();
}
