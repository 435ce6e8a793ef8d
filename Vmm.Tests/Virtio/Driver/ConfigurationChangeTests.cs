using System;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>Changes of device configuration and DEVICE_NEEDS_RESET, by every way of completion.</summary>
public sealed class ConfigurationChangeTests
{
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(20);

    [Theory]
    [Trait("Behaviour", "DRV-4")]
    [Trait("Behaviour", "DRV-6")]
    [InlineData(CompletionMode.Messages, 100)]
    [InlineData(CompletionMode.Messages, 1)]
    [InlineData(CompletionMode.Pin, 0)]
    [InlineData(CompletionMode.Polling, 0)]
    public async Task A_change_is_heard_of_and_what_is_read_then_is_new(CompletionMode completion, int vectors)
    {
        using var rig = new QueueRig(new VirtioDriverOptions { Completion = completion, MaximumVectors = vectors }, 16);
        rig.Start();
        rig.Driver.ReadDeviceConfiguration(field => field(0, 1)).Should().Be(1);
        rig.Driver.WaitConfigurationChange(TimeSpan.FromMilliseconds(20)).Should().BeFalse("nothing has changed");
        for (byte value = 2; value < 20; value++)
        {
            Task<bool> change = Task.Run(() => rig.Driver.WaitConfigurationChange(_patience));
            rig.Device.Change(() => rig.Device.Configuration[0] = value);
            rig.Device.Host!.ConfigurationChanged();
            (await change).Should().BeTrue();
            rig.Driver.ReadDeviceConfiguration(field => field(0, 1)).Should().Be(value);
        }

        rig.Driver.WaitConfigurationChange(TimeSpan.FromMilliseconds(20)).Should().BeFalse();
        rig.Driver.ConfigurationVector.Should().Be(completion == CompletionMode.Messages ? 0 : null);
        if (completion == CompletionMode.Messages)
        {
            rig.Driver.ConfigurationInterrupts.Should().Be(18);
        }
    }

    [Theory]
    [Trait("Behaviour", "DRV-4")]
    [InlineData(CompletionMode.Messages)]
    [InlineData(CompletionMode.Pin)]
    [InlineData(CompletionMode.Polling)]
    public async Task A_device_that_fails_ends_every_wait(CompletionMode completion)
    {
        using var rig = new QueueRig(new VirtioDriverOptions { Completion = completion }, 16, 16);
        rig.Driver.Start(2);
        rig.Driver.NeedsReset.Should().BeFalse();
        Task first = Task.Run(() => rig.Driver.Queues[0].WaitComplete(out _));
        Task second = Task.Run(() => rig.Driver.Queues[1].TryWaitComplete(_patience, out _, out _));
        Task<bool> change = Task.Run(() => rig.Driver.WaitConfigurationChange(_patience));
        Thread.Yield();
        rig.Device.Host!.NeedsReset("a test");
        (await first.Awaiting(t => t).Should().ThrowAsync<DriverException>()).Which.Step.Should().Be("DEVICE_NEEDS_RESET");
        (await second.Awaiting(t => t).Should().ThrowAsync<DriverException>()).Which.Step.Should().Be("DEVICE_NEEDS_RESET");
        (await change).Should().BeTrue();
        rig.Driver.NeedsReset.Should().BeTrue();
    }

    [Fact]
    [Trait("Behaviour", "DRV-4")]
    public void A_configuration_vector_that_is_refused_is_noticed()
    {
        using var rig = new QueueRig(0, 16);
        rig.Access.OnRead = (offset, value) => offset == 0x10 ? 0xffff : value;
        rig.Start();
        rig.Driver.ConfigurationVector.Should().BeNull();
        rig.Device.Change(() => rig.Device.Configuration[0] = 9);
        rig.Driver.WaitConfigurationChange(_patience).Should().BeTrue("without an interrupt the driver looks");
    }
}
