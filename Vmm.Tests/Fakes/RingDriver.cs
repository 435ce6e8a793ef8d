using System;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>The driver's side of one virtqueue of either form: what a guest does to its own memory.</summary>
public abstract class RingDriver
{
    // Both forms have these flags at the same bits.
    public const ushort Next = 1;
    public const ushort Write = 2;
    public const ushort Indirect = 4;

    protected RingDriver(GuestRam ram, ushort size, ulong features, int index)
    {
        Ram = ram;
        Size = size;
        Features = features;
        Index = index;
        Descriptors = ram.Allocate(16UL * size, 16);
    }

    public GuestRam Ram { get; }

    public ushort Size { get; }

    public ulong Features { get; }

    public int Index { get; }

    public ulong Descriptors { get; }

    public ulong Driver { get; protected init; }

    public ulong Device { get; protected init; }

    public abstract int FreeDescriptors { get; }

    public abstract bool HasUsed { get; }

    /// <summary>The device wrote that it wants no notifications.</summary>
    public abstract bool KicksDisabled { get; }

    public bool HasEventIndex => (Features & RingFeatures.EventIndex) != 0;

    public VirtqueueConfiguration Configuration => new()
    {
        Index = Index,
        Size = Size,
        Descriptors = Descriptors,
        Driver = Driver,
        Device = Device,
        Features = Features,
    };

    public static RingDriver Create(RingForm form, GuestRam ram, int size, ulong features = 0)
    {
        return form == RingForm.Packed ? new PackedGuestDriver(ram, (ushort)size, features) : new GuestDriver(ram, (ushort)size, features);
    }

    /// <summary>Writes a descriptor whose next (split) or id (packed) is 0.</summary>
    public abstract void SetDescriptorAt(ulong place, ulong address, uint length, int flags);

    /// <summary>
    /// Makes the descriptors from the first on, as they are, the one chain of a ring that was not used yet. NEXT leads to the one behind.
    /// </summary>
    public abstract void SetChain(params ReadOnlySpan<RawDescriptor> descriptors);

    /// <summary>Adds a chain of direct descriptors; what comes back as its id is returned. The device sees it after <see cref="Publish"/>.</summary>
    public abstract ushort Add(params ReadOnlySpan<GuestBuffer> buffers);

    /// <summary>Adds a chain as an indirect table that is placed anew.</summary>
    public ushort AddIndirect(params ReadOnlySpan<GuestBuffer> buffers) => AddIndirectAt(Ram.Allocate(16UL * (uint)buffers.Length), buffers);

    /// <summary>Adds a chain as an indirect table at an address.</summary>
    public abstract ushort AddIndirectAt(ulong table, params ReadOnlySpan<GuestBuffer> buffers);

    /// <summary>Makes what was added visible to the device.</summary>
    public abstract void Publish();

    /// <summary>Whether the device wants a notification for what was published since this was asked last.</summary>
    public abstract bool NeedsKick();

    /// <summary>Takes the next used entry and frees its descriptors.</summary>
    public abstract bool TryTakeUsed(out uint id, out uint length);

    /// <summary>Writes the event index so that it asks for an interrupt at one of the next used entries; 0 is the very next.</summary>
    public abstract void SetUsedEvent(int ahead);

    /// <summary>Asks for an interrupt at the next used entry; true if there is one already.</summary>
    public abstract bool EnableInterrupts();
}
