using System;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Where buffers may lie, and who may reach them.</summary>
public sealed class BufferTests : IDisposable
{
    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 4096), ((1 << 20) + 4096, 1 << 20));
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new();

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Theory]
    [Trait("Behaviour", "MEM-2")]
    [Trait("Behaviour", "VQ-3")]
    [BothForms(false, false)]
    [BothForms(false, true)]
    [BothForms(true, false)]
    [BothForms(true, true)]
    public void A_buffer_across_regions_comes_in_pieces_and_no_byte_lies_elsewhere(RingForm form, bool writable, bool indirect)
    {
        var driver = RingDriver.Create(form, _ram, 8, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver.Configuration);
        byte[] data = [.. Enumerable.Range(0, 10000).Select(i => (byte)(i * 7))];
        ulong address = (1 << 20) - 1000;
        _ram.Write(address, writable ? new byte[data.Length] : data);
        var buffer = new GuestBuffer(address, (uint)data.Length, writable);
        _ = indirect ? driver.AddIndirect(buffer) : driver.Add(buffer);
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            GuestBuffers bytes = writable ? _chain.Writable : _chain.Readable;
            if (writable)
            {
                bytes.CopyFrom(data).Should().Be(data.Length);
            }

            byte[] read = new byte[data.Length];
            bytes.CopyTo(read).Should().Be(data.Length);
            read.Should().Equal(data);
            bytes.Count.Should().Be(3);
            int pieces = 0;
            foreach (Span<byte> piece in bytes)
            {
                pieces++;
                piece.Length.Should().BeLessThanOrEqualTo(4904);
            }

            pieces.Should().Be(3);
        }

        _ram.Read(address, data.Length).Should().Equal(data);
        _ram.Read(address - 16, 16).Should().OnlyContain(b => b == 0);
        _ram.Read(address + (ulong)data.Length, 16).Should().OnlyContain(b => b == 0);
    }

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [InlineData(RingForm.Split, 2, 168)]
    [InlineData(RingForm.Packed, 4, 104)]
    public void An_indirect_table_may_be_longer_than_the_ring_and_lie_across_regions(RingForm form, int size, ulong before)
    {
        var driver = RingDriver.Create(form, _ram, size, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver.Configuration);
        ulong data = _ram.Place([.. Enumerable.Range(0, 40).Select(i => (byte)i)]);
        GuestBuffer[] buffers = [.. Enumerable.Range(0, 40).Select(i => Readable(data + (ulong)i, 1))];
        driver.AddIndirectAt((1 << 20) - before, buffers);
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            byte[] read = new byte[40];
            _chain.Readable.CopyTo(read).Should().Be(40);
            read.Should().Equal(Enumerable.Range(0, 40).Select(i => (byte)i));
        }
    }

    [Theory]
    [Trait("Behaviour", "VQ-3")]
    [BothForms]
    public void Empty_buffers_are_nothing_wherever_they_point(RingForm form)
    {
        var driver = RingDriver.Create(form, _ram, 8);
        Virtqueue queue = Create(driver.Configuration);
        ulong data = _ram.Place([42]);
        driver.Add(Readable(0xdead_beef_0000, 0), Readable(data, 1), Writable(ulong.MaxValue, 0), Writable(data, 1), Writable(0, 0));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            (_chain.ReadableLength, _chain.WritableLength, _chain.Readable.Count, _chain.Writable.Count).Should().Be((1, 1, 1, 1));
            int pieces = 0;
            foreach (Span<byte> piece in _chain.Readable)
            {
                piece[0].Should().Be(42);
                pieces++;
            }

            pieces.Should().Be(1);
        }
    }

    [Theory]
    [Trait("Behaviour", "PCI-8")]
    [BothForms]
    public void Without_bus_mastering_nothing_is_available_and_nothing_is_touched(RingForm form)
    {
        var driver = RingDriver.Create(form, _ram, 8);
        Virtqueue queue = Create(driver.Configuration);
        driver.Add(Writable(_ram.Allocate(4), 4));
        driver.Publish();
        using (queue.Enter())
        {
            // So that asking for notifications would change something.
            queue.DisableKicks();
        }

        byte[] before = _ram.Read(driver.Device, 4);
        _ram.Dma.Enabled = false;
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
            queue.EnableKicksAndCheckForMore().Should().BeFalse();
        }

        _ram.Read(driver.Device, 4).Should().Equal(before);
        _ram.Dma.Enabled = true;
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
        }
    }

    [Theory]
    [Trait("Behaviour", "VTP-17")]
    [BothForms]
    public void With_a_translator_ring_table_and_buffers_go_through_it(RingForm form)
    {
        // The device sees memory 1 GiB higher, page by page, and in the end without one page.
        var driver = RingDriver.Create(form, _ram, 8, RingFeatures.IndirectDescriptors);
        var translator = new ShiftingTranslator(1UL << 30);
        _ram.Dma.Translator = translator;
        VirtqueueConfiguration configuration = driver.Configuration;
        BareRing.TryCreate(configuration, _ram.Dma, _interrupt, out _, out string? reason)
            .Should().BeFalse("these addresses mean nothing to the device");
        reason.Should().Contain("not in one region of RAM");
        Virtqueue queue = Create(configuration with
        {
            Descriptors = driver.Descriptors + translator.Base,
            Driver = driver.Driver + translator.Base,
            Device = driver.Device + translator.Base,
        });
        ulong data = _ram.Allocate(3 * 4096, 4096);
        byte[] bytes = [.. Enumerable.Range(0, 3 * 4096).Select(i => (byte)(i / 3))];
        _ram.Write(data, bytes);
        ulong table = _ram.Allocate(32, 16);
        GuestBuffer[] buffers = [Readable(data + translator.Base + 100, 9000), Writable(data + translator.Base, 8192)];
        driver.AddIndirectAt(table, buffers);
        _ram.Write(driver.Descriptors, table + translator.Base);
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            byte[] read = new byte[9000];
            _chain.Readable.CopyTo(read).Should().Be(9000);
            read.Should().Equal(bytes.AsSpan(100, 9000).ToArray());
            _chain.Writable.Fill(0xee);
            queue.Complete(_chain, 8192);
        }

        _ram.Read(data, 8193).Should().Equal(Enumerable.Repeat((byte)0xee, 8192).Append(bytes[8192]));
        driver.TryTakeUsed(out _, out uint length).Should().BeTrue();
        length.Should().Be(8192);
        translator.Writes.Should().BePositive();

        translator.Unmapped = data + translator.Base;
        driver.Add(buffers);
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("not in RAM");
    }

    private Virtqueue Create(VirtqueueConfiguration configuration)
    {
        BareRing.TryCreate(configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }
}
