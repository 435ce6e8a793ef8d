using System;

namespace Vmm.DeviceModel.Memory;

/// <summary>What a device reaches by DMA: guest memory, through its translator if it sits behind one, while bus mastering is on (PCI-8).</summary>
/// <remarks>Late-bound and revocable: the function that owns the device switches <see cref="Enabled"/> with its Command register.</remarks>
public sealed class DmaTarget
{
    private volatile bool _enabled = true;

    /// <summary>Makes a target over guest memory.</summary>
    /// <param name="memory">Guest RAM.</param>
    public DmaTarget(GuestMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        Memory = memory;
    }

    /// <summary>Guest RAM. Accesses here look at neither <see cref="Enabled"/> nor <see cref="Translator"/>: a device checks both itself.</summary>
    public GuestMemory Memory { get; }

    /// <summary>False while the device may not master the bus; queues then wait.</summary>
    public bool Enabled
    {
        get => _enabled;
        set => _enabled = value;
    }

    /// <summary>Translates the device's addresses; null where they are guest-physical (VTP-17). For the embedder to set: nothing here does.</summary>
    public IDmaTranslator? Translator { get; set; }
}
