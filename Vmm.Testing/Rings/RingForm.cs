namespace Vmm.Testing.Rings;

/// <summary>The two forms of a virtqueue (virtio 1.2, 2.7 and 2.8).</summary>
public enum RingForm
{
    /// <summary>Descriptor table, available ring and used ring.</summary>
    Split,
    /// <summary>One ring of descriptors, with wrap counters.</summary>
    Packed,
}
