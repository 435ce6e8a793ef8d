using Vmm.Virtio.Transport;

namespace Vmm.Conformance.Models;

/// <summary>How a device model is made.</summary>
public sealed record ModelOptions
{
    /// <summary>Which.</summary>
    public required ModelKind Model { get; init; }

    /// <summary>Its name in reports; the word for the model without one.</summary>
    public string? Name { get; init; }

    /// <summary>How its PCI function carries it.</summary>
    public VirtioPciOptions Function { get; init; } = new();

    /// <summary>Queues of a block device.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Descriptors in each queue, a power of two.</summary>
    public ushort QueueSize { get; init; } = 256;
}
