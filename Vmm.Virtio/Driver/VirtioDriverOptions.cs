using System;

namespace Vmm.Virtio.Driver;

/// <summary>What a driver asks of a device.</summary>
public sealed record VirtioDriverOptions
{
    /// <summary>Features to take if they are offered, beside the required ones.</summary>
    public ulong WantedFeatures { get; init; }

    /// <summary>Features without which the device is refused; VIRTIO_F_VERSION_1 is always among them.</summary>
    public ulong RequiredFeatures { get; init; }

    /// <summary>The best way of completion to use; without it, the next best.</summary>
    public CompletionMode Completion { get; init; } = CompletionMode.Messages;

    /// <summary>Most vectors to use.</summary>
    public int MaximumVectors { get; init; } = int.MaxValue;

    /// <summary>How long a device may take to reset or to complete a request.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);
}
