using System;
using System.Threading;
using Vmm.Virtio.Spec;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Transport;

/// <content>A device that is paused, with its queues where they stand, and one that takes over a saved state, which is paused then.</content>
internal sealed partial class DeviceLifeCycle
{
    /// <summary>No queue is served until <see cref="Resume"/>.</summary>
    public bool IsPaused => Volatile.Read(ref _paused);

    /// <summary>Begins no new request, waits until none is in flight, and stops the queues where they stand. Idempotent.</summary>
    /// <param name="limit">How long to wait for requests in flight, at most.</param>
    /// <returns>False, with nothing changed, if requests are in flight still.</returns>
    public bool TryPause(TimeSpan limit)
    {
        lock (_transition)
        {
            if (_paused || _disposed)
            {
                return _paused;
            }

            if (_active && !_device.TryDrain(limit))
            {
                _device.Resume();
                return false;
            }

            _queues.Pause();
            _device.Resume();
            return _paused = true;
        }
    }

    /// <summary>Goes on after <see cref="TryPause"/> or <see cref="Restore"/>: queues are looked at without a kick, and their drivers told once.</summary>
    public void Resume()
    {
        lock (_transition)
        {
            if (!_paused || _disposed)
            {
                return;
            }

            _paused = false;
            StartEnabledQueues();
            _queues.SignalAll();
        }
    }

    /// <summary>Takes over a state that was checked, through what a driver's writes set off; the device is paused then.</summary>
    public void Restore(TransportState state)
    {
        lock (_transition)
        {
            if (_disposed)
            {
                return;
            }

            // Interrupts are restored already.
            PowerOn();
            _paused = true;
            _features.Restore(state.DeviceSelect, state.DriverSelect, state.Written, state.Negotiated);
            _host.TryMapConfiguration(state.ConfigurationVector);
            _queues.Select = state.QueueSelect;
            foreach (QueueState queue in state.Queues)
            {
                _queues.All[queue.Index].Restore(queue);
            }

            _status.Restore((DeviceStatus)state.Status);
            TellFeatures();
            if (state.Active)
            {
                _activation = new ActivationHost(_announcements);
                _active = _announcements.TryStart("start", StartDevice);
            }

            _announcements.Restore(state.Generation, state.ChangeUnseen);
        }
    }
}
