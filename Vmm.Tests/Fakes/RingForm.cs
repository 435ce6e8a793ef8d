namespace Vmm.Tests.Fakes;

/// <summary>The two forms of a virtqueue (virtio 1.2, 2.7 and 2.8).</summary>
public enum RingForm
{
    Split,
    Packed,
}
