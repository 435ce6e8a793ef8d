using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Transport;

/// <summary>The registers of one queue and what runs behind them.</summary>
/// <remarks>
/// vCPU threads read and write the registers without a lock; the values count only once the queue is enabled, and are copied then.
/// <see cref="IsRunning"/> belongs to the transition lock of <see cref="DeviceLifeCycle"/>.
/// </remarks>
internal sealed class QueueRegisters
{
    private readonly Lock _vectorLock = new();
    private int _size;
    private int _vector = VirtioPciIds.NoVector;
    private bool _enabled;
    private bool _resetting;
    private EventFd? _kick;

    /// <param name="index">Queue index.</param>
    /// <param name="maximumSize">0 for the queue that does not exist.</param>
    /// <param name="interrupt">Null for the queue that does not exist.</param>
    public QueueRegisters(int index, ushort maximumSize, ITransportInterrupt? interrupt)
    {
        Index = index;
        MaximumSize = maximumSize;
        Interrupt = interrupt;
        _size = maximumSize;
    }

    /// <summary>Queue index.</summary>
    public int Index { get; }

    /// <summary>The size that a reset gives back; 0 for the queue that does not exist.</summary>
    public ushort MaximumSize { get; }

    /// <summary>False for the queue that stands for every index out of range.</summary>
    public bool IsPresent => MaximumSize != 0;

    /// <summary>queue_notify_off: each queue has a notify address of its own.</summary>
    public ulong NotifyOffset => IsPresent ? (ulong)Index : 0;

    /// <summary>Where the device signals; null for the queue that does not exist.</summary>
    public ITransportInterrupt? Interrupt { get; }

    /// <summary>queue_msix_vector.</summary>
    public ushort Vector => (ushort)Volatile.Read(ref _vector);

    /// <summary>queue_size.</summary>
    public ushort Size
    {
        get => (ushort)Volatile.Read(ref _size);
        set => Volatile.Write(ref _size, value);
    }

    /// <summary>queue_desc.</summary>
    public ulong Descriptors;

    /// <summary>queue_driver.</summary>
    public ulong Driver;

    /// <summary>queue_device.</summary>
    public ulong Device;

    /// <summary>queue_enable.</summary>
    public bool IsEnabled
    {
        get => Volatile.Read(ref _enabled);
        set => Volatile.Write(ref _enabled, value);
    }

    /// <summary>queue_reset: a reset was asked for and is not done.</summary>
    public bool IsResetting
    {
        get => Volatile.Read(ref _resetting);
        set => Volatile.Write(ref _resetting, value);
    }

    /// <summary>The driver's notifications; made when the queue first runs, kept until the function goes.</summary>
    public EventFd? Kick
    {
        get => Volatile.Read(ref _kick);
        set => Volatile.Write(ref _kick, value);
    }

    /// <summary>The device serves the queue.</summary>
    public bool IsRunning { get; set; }

    /// <summary>Where the device stands in the ring of a queue that is paused; null for one that runs or begins anew.</summary>
    public VirtqueueState? Place { get; set; }

    /// <summary>The queue as a reset leaves it.</summary>
    public QueueState PowerOnState => new()
    {
        Index = Index,
        Size = MaximumSize,
        Vector = VirtioPciIds.NoVector,
        Descriptors = 0,
        Driver = 0,
        Device = 0,
        Enabled = false,
    };

    /// <summary>The registers, and the place of a queue that is paused.</summary>
    public QueueState Save() => new()
    {
        Index = Index,
        Size = Size,
        Vector = Vector,
        Descriptors = Descriptors,
        Driver = Driver,
        Device = Device,
        Enabled = IsEnabled,
        AvailableIndex = Place?.AvailableIndex,
        UsedIndex = Place?.UsedIndex,
    };

    /// <summary>Takes over registers that were checked. The queue does not run.</summary>
    public void Restore(QueueState state)
    {
        Size = state.Size;
        TryMap(state.Vector);
        Descriptors = state.Descriptors;
        Driver = state.Driver;
        Device = state.Device;
        IsEnabled = state.Enabled;
        Place = state is { AvailableIndex: { } available, UsedIndex: { } used }
            ? new VirtqueueState { AvailableIndex = available, UsedIndex = used }
            : null;
    }

    /// <summary>The queue as the driver programmed it, to start where the queue was paused, else at the beginning of the ring.</summary>
    /// <param name="features">Features in force.</param>
    public VirtqueueConfiguration ToConfiguration(ulong features) => new()
    {
        Index = Index,
        Size = Size,
        Descriptors = Descriptors,
        Driver = Driver,
        Device = Device,
        Features = features,
        State = Place,
    };

    /// <summary>Writes queue_msix_vector: a vector that the carrier does not have reads back as none (VTP-11).</summary>
    /// <returns>False if the carrier has no such vector, or there is no such queue.</returns>
    public bool TryMap(ushort vector)
    {
        if (Interrupt is not { } interrupt)
        {
            return false;
        }

        // Drivers write it one after the other; of two that do not, the register says what the last one mapped.
        lock (_vectorLock)
        {
            bool has = interrupt.TryMap(vector);
            Volatile.Write(ref _vector, has ? vector : VirtioPciIds.NoVector);
            return has;
        }
    }

    /// <summary>Gives every register its power-on value.</summary>
    public void PowerOn()
    {
        Size = MaximumSize;
        TryMap(VirtioPciIds.NoVector);
        Descriptors = 0;
        Driver = 0;
        Device = 0;
        IsEnabled = false;
        Place = null;
        Kick?.TryConsume(out _);
    }
}
