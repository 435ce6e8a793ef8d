using System.Text.Json.Serialization;
using Vmm.Virtio.Transport;

namespace Vmm.Machine.Catalogue;

/// <summary>The options that every virtio device has.</summary>
public abstract record VirtioOptions : DeviceOptions
{
    /// <summary>Descriptors of a queue, a power of two from 2 to 32768, or null for the device's default.</summary>
    public ushort? QueueSize { get; init; }

    /// <summary>Rings, vectors and features of the PCI function. Its name and its log are the machine's business.</summary>
    [JsonConverter(typeof(VirtioPciOptionsConverter))]
    public VirtioPciOptions Transport
    {
        get;

        // JSON without the member gives null.
        init => field = value ?? new VirtioPciOptions();
    }

        = new();
}
