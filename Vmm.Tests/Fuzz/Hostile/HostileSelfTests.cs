using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>The lying device sees what a driver must not do, is not blamed for what the driver may do, and does the same again.</summary>
[Collection(FuzzCollection.Name)]
[Trait("Category", "Long")]
public sealed class HostileSelfTests
{
    [Fact]
    [Trait("Behaviour", "DRV-7")]
    public void What_a_driver_must_not_do_is_seen()
    {
        HostileProfile profile = Honest(DriverKind.Raw);
        Expect(profile, "unmapped", static device =>
        {
            IDmaBuffer buffer = device.MapBuffer(16);
            buffer.Dispose();
            _ = buffer.Span.Length;
        });
        Expect(profile, "written after", static device =>
        {
            IDmaBuffer buffer = device.MapBuffer(16);
            Span<byte> kept = buffer.Span;
            buffer.Dispose();
            kept[3] = 1;
        });
        Expect(profile, "may still write", static device =>
        {
            var driver = VirtioPciDriver.Open(device);
            driver.Start(1);
            device.MapBuffer(16).Dispose();
        });
        Expect(profile, "an access of 4 bytes at 0x2", static device => device.ReadConfiguration(2, 4));
        Expect(
            profile, "an access of 2 bytes at 0x4000 of BAR",
            static device => device.WriteBar(Enumerable.Range(0, 6).First(bar => device.GetBarLength(bar) != 0), 0x4000, 2, 0));
        Expect(profile, "are mapped", static device => device.MapBuffer((16 << 20) + 1));
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData((int)DriverKind.Raw)]
    [InlineData((int)DriverKind.Block)]
    [InlineData((int)DriverKind.Net)]
    [InlineData((int)DriverKind.Console)]
    [InlineData((int)DriverKind.Entropy)]
    public void A_device_that_does_not_lie_is_driven(int kind)
    {
        var counts = new HostileCounts();
        ulong device = Honest((DriverKind)kind).Seed;
        HostileRun.Try(device, HostileRun.Draw(device), counts).Should().BeNull();
        counts.Started.Should().BePositive();
        counts.Completed.Should().BePositive();
        counts.Abandoned.Should().Be(0);
    }

    [Fact]
    public void Operations_follow_from_the_seed_and_are_read_as_they_are_written()
    {
        List<HostileOperation> drawn = HostileRun.Draw(11);
        HostileRun.Draw(11).Should().Equal(drawn);
        drawn.Select(static operation => HostileOperation.Parse(operation.ToString())).Should().Equal(drawn);
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(file, [$"device {Honest(DriverKind.Raw).Seed}", .. drawn.Select(static operation => operation.ToString())]);
            HostileRun.Replay(file).Should().BeNull();
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>The first device of a kind that only tells the truth, and has what its driver needs.</summary>
    private static HostileProfile Honest(DriverKind kind)
    {
        return Enumerable.Range(0, 100_000).Select(static i => new HostileProfile(FuzzOptions.Of(3, i).Seed)).First(profile =>
            profile is { Damage: 0, RegisterLies: 0, RingLies: 0, Interrupts: 0, Service: 1, Stuck: null, Queues: 4 }
            && profile.Kind == kind
            && (profile.Features >> 32 & 1) != 0
            && Enumerable.Range(0, 4).All(q => profile.SizeOf((ushort)q) is > 1 and < 300));
    }

    private static void Expect(HostileProfile profile, string complaint, Action<HostileDevice> mistake)
    {
        var device = new HostileDevice(profile);
        mistake(device);
        device.Dispose();
        device.Violation.Should().Contain(complaint);
    }
}
