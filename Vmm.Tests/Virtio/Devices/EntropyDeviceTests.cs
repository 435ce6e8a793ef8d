using System;
using System.IO.Pipes;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The entropy device (virtio 1.2, 5.4).</summary>
public sealed class EntropyDeviceTests
{
    [Fact]
    public void The_kernel_s_random_bytes_fill_requests()
    {
        using VirtioDeviceRig rng = new VirtioDeviceRig(new EntropyDevice()).Start();
        rng.Device.ConfigurationLength.Should().Be(0);
        byte[] first = Request(rng, 256);
        byte[] second = Request(rng, 256);
        first.Should().HaveCount(256);
        first.Should().NotEqual(second);
        first.Distinct().Count().Should().BeGreaterThan(50);
    }

    [Fact]
    public void A_request_gets_at_most_64_kib()
    {
        using VirtioDeviceRig rng = new VirtioDeviceRig(new EntropyDevice()).Start();
        Request(rng, 1 << 20).Should().HaveCount(1 << 16);
    }

    [Fact]
    public void A_file_gives_its_bytes_once_and_then_the_device_needs_a_reset()
    {
        byte[] content = [.. Enumerable.Range(0, 100).Select(i => (byte)i)];
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig rng = new VirtioDeviceRig(new EntropyDevice(new EntropyDeviceOptions { Source = file.Path })).Start();
        Request(rng, 60).Should().Equal(content[..60]);
        Request(rng, 60).Should().Equal(content[60..], "fewer bytes than asked for are an answer");
        rng.Drivers[0].Add(Writable(rng.Ram.Allocate(16), 16));
        rng.Kick();
        rng.WaitNeedsReset().Should().Contain("has ended");
    }

    [Fact]
    public void A_source_that_has_nothing_yet_is_waited_for()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        string path = $"/proc/self/fd/{pipe.ClientSafePipeHandle.DangerousGetHandle()}";
        using VirtioDeviceRig rng = new VirtioDeviceRig(new EntropyDevice(new EntropyDeviceOptions { Source = path })).Start();
        ulong place = rng.Ram.Allocate(16);
        rng.Drivers[0].Add(Writable(place, 16));
        rng.Kick();
        rng.Vectors[0].Wait(50).Should().BeFalse();
        for (byte i = 1; i <= 3; i++)
        {
            pipe.Write([i, i]);
            rng.WaitUsed().Length.Should().Be(2);
            rng.Ram.Read(place, 2).Should().Equal(i, i);
            rng.Drivers[0].Add(Writable(place, 16));
            rng.Kick();
        }

        rng.ResetReasons.Should().BeEmpty();
        rng.Device.StopQueue(0);
    }

    [Theory]
    [InlineData("broken")]
    [InlineData("no bus master")]
    [InlineData("empty")]
    public void A_source_with_bytes_that_nobody_can_have_keeps_the_worker_asleep(string reason)
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        string path = $"/proc/self/fd/{pipe.ClientSafePipeHandle.DangerousGetHandle()}";

        // Looks of a worker that is not asleep yet are rounds, too.
        var rng = new VirtioDeviceRig(new EntropyDevice(new EntropyDeviceOptions { Source = path, PollLimit = TimeSpan.Zero }));
        using VirtioDeviceRig harness = rng.Start();
        var driver = (SplitRingDriver)rng.Drivers[0];
        var counter = new RoundCounter(driver.Descriptors);
        rng.Ram.Dma.Translator = counter;
        ushort head = driver.Add(Writable(rng.Ram.Allocate(16), 16));
        Round(rng, counter);
        switch (reason)
        {
            case "broken":
                driver.SetDescriptor(head, 0xffff_ffff_0000, 16, 2);
                break;
            case "no bus master":
                rng.Ram.Dma.Enabled = false;
                break;
            default:
                driver.AvailableIndex--;
                driver.Publish();
                break;
        }

        pipe.Write([1, 2]);
        int before = counter.Rounds;
        for (int i = 0; i < 100; i++)
        {
            Round(rng, counter);
        }

        (counter.Rounds - before).Should().BeLessThan(500, "a kick is a round or a few, and the source's bytes are one");
        rng.Ram.Dma.Enabled = true;
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void A_request_without_room_is_a_broken_ring()
    {
        using VirtioDeviceRig rng = new VirtioDeviceRig(new EntropyDevice()).Start();
        rng.Drivers[0].Add(Readable(rng.Ram.Allocate(16), 16));
        rng.Kick();
        rng.WaitNeedsReset().Should().Contain("without room");
    }

    [Theory]
    [InlineData("/nowhere/source", "*/nowhere/source*errno 2*")]
    [InlineData("/tmp", "*/tmp*directory*")]
    public void A_source_that_cannot_be_opened_is_refused(string path, string message)
    {
        Action make = () => new EntropyDevice(new EntropyDeviceOptions { Source = path }).Dispose();
        make.Should().Throw<BackendException>().WithMessage(message);
    }

    /// <summary>Kicks, and waits until the worker has looked.</summary>
    private static void Round(VirtioDeviceRig rng, RoundCounter counter)
    {
        int before = counter.Rounds;
        rng.Drivers[0].Publish();
        rng.Signal();
        Eventually.Holds(() => counter.Rounds > before, "the worker looks when it is kicked");
    }

    private static byte[] Request(VirtioDeviceRig rng, uint length)
    {
        ulong place = rng.Ram.Allocate(length);
        rng.Drivers[0].Add(Writable(place, length / 2), Writable(place + (length / 2), length - (length / 2)));
        rng.Kick();
        return rng.Ram.Read(place, (int)rng.WaitUsed().Length);
    }
}
