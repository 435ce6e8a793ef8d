using System;
using System.IO;
using System.IO.Pipes;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>The drivers of entropy devices and consoles.</summary>
[Trait("Behaviour", "DRV-1")]
public sealed class StreamDriverTests
{
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData(0, CompletionMode.Messages)]
    [InlineData(RingFeatures.Packed | RingFeatures.EventIndex, CompletionMode.Pin)]
    [InlineData(RingFeatures.Packed, CompletionMode.Polling)]
    public void Entropy_is_what_the_source_holds(ulong features, CompletionMode completion)
    {
        using var source = new TemporaryFile([.. Enumerable.Range(0, 20_000).Select(i => (byte)(i * 13 / 7))]);
        using var access = new HostileAccess(dma => new VirtioPciFunction(
            new EntropyDevice(new EntropyDeviceOptions { Source = source.Path }), dma, new VirtioPciOptions { PackedRing = true }));
        using var entropy = VirtioEntropyDriver.Open(access, new VirtioDriverOptions { RequiredFeatures = features, Completion = completion });
        byte[] read = new byte[19_999];
        entropy.Read(read);
        read.Should().Equal(source.Content.AsSpan(0, read.Length).ToArray());

        // At its end the device needs a reset, and the driver hears of it.
        entropy.Invoking(e => e.Read(new byte[2])).Should().Throw<DriverException>().Which.Step.Should().Be("DEVICE_NEEDS_RESET");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(RingFeatures.Packed | RingFeatures.IndirectDescriptors | RingFeatures.EventIndex)]
    public void A_console_carries_both_ways(ulong features)
    {
        using var input = new AnonymousPipeServerStream(PipeDirection.Out);
        using var output = new TemporaryFile();
        using var file = new FileStream(output.Path, FileMode.Open, FileAccess.Write);
        var backend = new DescriptorConsoleBackend(
            (int)input.ClientSafePipeHandle.DangerousGetHandle(), (int)file.SafeFileHandle.DangerousGetHandle());
        using var access = new HostileAccess(dma => new VirtioPciFunction(
            new ConsoleDevice(backend, new ConsoleDeviceOptions { Columns = 80, Rows = 25 }), dma, new VirtioPciOptions { PackedRing = true }));
        using var console = VirtioConsoleDriver.Open(access, new VirtioDriverOptions { RequiredFeatures = features });
        console.ScreenSize.Should().Be((80, 25));
        byte[] text = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 3))];
        console.Write(text);
        output.Content.Should().Equal(text);
        byte[] read = new byte[10_000];
        console.Read(read, TimeSpan.Zero).Should().Be(0);
        input.Write(text);
        int count = 0;
        while (count < text.Length)
        {
            int more = console.Read(read.AsSpan(count, Math.Min(300, read.Length - count)), _patience);
            more.Should().BeGreaterThan(0);
            count += more;
        }

        read.AsSpan(0, count).SequenceEqual(text).Should().BeTrue();
    }
}
