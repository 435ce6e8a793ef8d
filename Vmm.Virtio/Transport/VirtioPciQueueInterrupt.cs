using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The interrupt of one queue: which vector it means is looked up at each signal, so that mapping it anew takes effect (VTP-11).</summary>
/// <remarks>
/// An eventfd follows the register: see <see cref="MessageSource"/>. The lock orders the register and the eventfd; it comes before the source's, and
/// nothing that signals takes it.
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

    /// <inheritdoc/>
    public ushort Vector => (ushort)Volatile.Read(ref _vector);

    /// <inheritdoc/>
    public bool TryMap(ushort vector)
    {
        bool has = _interrupts.Has(vector);
        ushort mapped = has ? vector : VirtioPciIds.NoVector;
        if (mapped == Vector)
        {
            return has;
        }

        lock (_lock)
        {
            Volatile.Write(ref _vector, mapped);
            if (_source is not null)
            {
                _interrupts.Map(_source, mapped);
            }
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

            _source ??= _interrupts.CreateSource(Vector, _signal);
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
}
