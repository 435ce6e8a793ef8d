using System;
using Vmm.Testing.Memory;
using Vmm.Virtio.Queues;

namespace Vmm.Testing.Rings;

/// <summary>The driver's side of one virtqueue of either form: a guest's writes into its own memory.</summary>
/// <remarks>
/// Trusts nothing and protects nothing: rings that no decent driver would build can be built, and it shares no code with the rings that it tests.
/// For one thread at a time.
/// </remarks>
public abstract class RingDriver
{
    // Both forms have these flags at the same bits.
    /// <summary>Another descriptor of the chain follows.</summary>
    public const ushort Next = 1;
    /// <summary>The device writes the buffer.</summary>
    public const ushort Write = 2;
    /// <summary>The buffer is a table of descriptors.</summary>
    public const ushort Indirect = 4;

    /// <summary>Places the descriptors.</summary>
    /// <param name="ram">RAM that the ring is allocated in.</param>
    /// <param name="size">Entries.</param>
    /// <param name="features">Features that were negotiated.</param>
    /// <param name="index">The queue's index.</param>
    protected RingDriver(GuestRam ram, ushort size, ulong features, int index)
    {
        Ram = ram;
        Size = size;
        Features = features;
        Index = index;
        Descriptors = ram.Allocate(16UL * size, 16);
    }

    /// <summary>RAM that the ring lies in.</summary>
    public GuestRam Ram { get; }

    /// <summary>Entries.</summary>
    public ushort Size { get; }

    /// <summary>Features that were negotiated.</summary>
    public ulong Features { get; }

    /// <summary>The queue's index.</summary>
    public int Index { get; }

    /// <summary>Address of the descriptors (queue_desc).</summary>
    public ulong Descriptors { get; }

    /// <summary>Address of the driver area (queue_driver).</summary>
    public ulong Driver { get; protected init; }

    /// <summary>Address of the device area (queue_device).</summary>
    public ulong Device { get; protected init; }

    /// <summary>Descriptors that a further chain may take.</summary>
    public abstract int FreeDescriptors { get; }

    /// <summary>The device has used a chain that was not taken yet.</summary>
    public abstract bool HasUsed { get; }

    /// <summary>The device wrote that it wants no notifications.</summary>
    public abstract bool KicksDisabled { get; }

    /// <summary>VIRTIO_F_EVENT_IDX was negotiated.</summary>
    public bool HasEventIndex => (Features & RingFeatures.EventIndex) != 0;

    /// <summary>The queue as the transport hands it to a device, from its beginning.</summary>
    public VirtqueueConfiguration Configuration => new()
    {
        Index = Index,
        Size = Size,
        Descriptors = Descriptors,
        Driver = Driver,
        Device = Device,
        Features = Features,
    };

    /// <summary>Makes the driver of one form.</summary>
    /// <param name="form">The form; features say the same of themselves.</param>
    /// <param name="ram">RAM that the ring is allocated in.</param>
    /// <param name="size">Entries, 1 to 32768; of a split ring a power of two.</param>
    /// <param name="features">Features that were negotiated.</param>
    /// <param name="index">The queue's index.</param>
    public static RingDriver Create(RingForm form, GuestRam ram, int size, ulong features = 0, int index = 0)
    {
        return form == RingForm.Packed
            ? new PackedRingDriver(ram, (ushort)size, features, index)
            : new SplitRingDriver(ram, (ushort)size, features, index);
    }

    /// <summary>Writes a descriptor whose next (split) or id (packed) is 0.</summary>
    /// <param name="place">Address of the descriptor.</param>
    /// <param name="address">Address of the buffer.</param>
    /// <param name="length">Bytes of the buffer.</param>
    /// <param name="flags">Flags as they stand in the ring.</param>
    public abstract void SetDescriptorAt(ulong place, ulong address, uint length, int flags);

    /// <summary>
    /// Makes the descriptors from the first on, as they are, the one chain of a ring that was not used yet. NEXT leads to the one behind.
    /// </summary>
    /// <param name="descriptors">As they are written, but for the wrap flags of a packed ring, which make them available.</param>
    public abstract void SetChain(params ReadOnlySpan<RawDescriptor> descriptors);

    /// <summary>Adds a chain of direct descriptors. The device sees it after <see cref="Publish"/>.</summary>
    /// <param name="buffers">One or more; those that the device reads come first.</param>
    /// <returns>The id with which the chain comes back.</returns>
    /// <exception cref="InvalidOperationException">There are fewer free descriptors.</exception>
    public abstract ushort Add(params ReadOnlySpan<GuestBuffer> buffers);

    /// <summary>Adds a chain as an indirect table that is placed anew.</summary>
    /// <param name="buffers">One or more; those that the device reads come first.</param>
    /// <returns>The id with which the chain comes back.</returns>
    public ushort AddIndirect(params ReadOnlySpan<GuestBuffer> buffers) => AddIndirectAt(Ram.Allocate(16UL * (uint)buffers.Length), buffers);

    /// <summary>Adds a chain as an indirect table at an address.</summary>
    /// <param name="table">Address of the table.</param>
    /// <param name="buffers">One or more; those that the device reads come first.</param>
    /// <returns>The id with which the chain comes back.</returns>
    public abstract ushort AddIndirectAt(ulong table, params ReadOnlySpan<GuestBuffer> buffers);

    /// <summary>Makes what was added visible to the device.</summary>
    public abstract void Publish();

    /// <summary>Whether the device wants a notification for what was published since this was asked last.</summary>
    public abstract bool NeedsKick();

    /// <summary>Takes the next used entry and frees its descriptors.</summary>
    /// <param name="id">The id of the chain.</param>
    /// <param name="length">Bytes that the device says it wrote.</param>
    /// <returns>False if the device has used nothing more.</returns>
    public abstract bool TryTakeUsed(out uint id, out uint length);

    /// <summary>Writes the event index so that it asks for an interrupt at one of the next used entries.</summary>
    /// <param name="ahead">How many entries it leaves out; 0 asks at the very next.</param>
    public abstract void SetUsedEvent(int ahead);

    /// <summary>Asks for an interrupt at the next used entry; true if there is one already.</summary>
    public abstract bool EnableInterrupts();
}
