using Vmm.Virtio.Transport;

namespace Vmm.Machine;

/// <summary>What every virtio device of a machine can be told.</summary>
public abstract record VirtioOptions
{
    /// <summary>Name of the device in logs; by default made of its kind and, where there may be several, its number.</summary>
    public string? Id { get; init; }

    /// <summary>Descriptors of a queue, a power of two from 2 to 32768, or null for the device's default.</summary>
    public ushort? QueueSize { get; init; }

    /// <summary>Rings, vectors and features of the PCI function. Its name and its log are the machine's business.</summary>
    public VirtioPciOptions Transport { get; init; } = new();
}
