using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The interrupt of one queue: which vector it means is looked up at each signal, so that mapping it anew takes effect (VTP-11).</summary>
/// <remarks>
/// An eventfd follows the register: see <see cref="MessageSource"/>. The lock is that of the eventfd, and taken only where there is one; it comes before
/// the source's, and nothing that signals takes it.
/// </remarks>
internal sealed class VirtioPciQueueInterrupt : ITransportInterrupt
{
    private readonly VirtioPciInterrupts _interrupts;
    private readonly Action _signal;
    private readonly Lock _lock = new();
    private int _vector = VirtioPciIds.NoVector;
    private MessageSource? _source;
    private bool _open;

    public VirtioPciQueueInterrupt(VirtioPciInterrupts interrupts)
    {
        _interrupts = interrupts;
        _signal = Signal;
    }

    private ushort Vector => (ushort)Volatile.Read(ref _vector);

    /// <inheritdoc/>
    public bool TryMap(ushort vector)
    {
        bool has = _interrupts.Has(vector);

        // GetEventFd pays for the fence between the two: it is rare, and one of the two threads sees the other.
        Volatile.Write(ref _vector, has ? vector : VirtioPciIds.NoVector);
        if (Volatile.Read(ref _source) is not null)
        {
            MapSource();
        }

        return has;
    }

    /// <inheritdoc/>
    public void Signal() => _interrupts.SignalQueue(Vector);

    /// <inheritdoc/>
    public EventFd GetEventFd()
    {
        lock (_lock)
        {
            if (!_open)
            {
                throw new InvalidOperationException("the interrupt of a queue has an eventfd only while the queue runs");
            }

            if (_source is null)
            {
                _source = _interrupts.CreateSource(_signal);
                Interlocked.MemoryBarrierProcessWide();
                _interrupts.Map(_source, Vector);
            }

            return _source.EventFd;
        }
    }

    /// <inheritdoc/>
    public void Open()
    {
        lock (_lock)
        {
            _open = true;
        }
    }

    /// <inheritdoc/>
    public void Close()
    {
        MessageSource? source;
        lock (_lock)
        {
            _open = false;
            source = _source;
            _source = null;
        }

        source?.Dispose();
    }

    private void MapSource()
    {
        lock (_lock)
        {
            // The vector of now: of two mappings that race, whoever comes last finds the last one.
            if (_source is not null)
            {
                _interrupts.Map(_source, Vector);
            }
        }
    }
}
