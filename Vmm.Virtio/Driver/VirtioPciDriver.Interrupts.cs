using System;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Driver;

/// <content>Vectors, the pin, and changes of configuration.</content>
public sealed partial class VirtioPciDriver
{
    // Without an interrupt, how often to look for a change.
    private static readonly TimeSpan _lookEvery = TimeSpan.FromMilliseconds(1);

    private readonly object _configurationSignal = new();
    private bool _configurationSignalled;
    private long _configurationInterrupts;
    private EventFd[] _events = [];
    private int _vectors;

    /// <summary>The MSI-X vector of configuration changes, or null where there is none.</summary>
    public int? ConfigurationVector { get; private set; }

    /// <summary>Interrupts that came for configuration changes, those of a vector that queues share included.</summary>
    public long ConfigurationInterrupts => Interlocked.Read(ref _configurationInterrupts);

    /// <summary>
    /// What configuration changes signal, if <see cref="VirtioDriverOptions.HandsOutEvents"/> and there is a vector for them: the caller waits on it.
    /// Queues that share the vector signal it too. Valid until the close.
    /// </summary>
    public EventFd? ConfigurationEvent => ConfigurationVector is { } vector && _events.Length > 0 ? _events[vector] : null;

    /// <summary>
    /// Waits until device configuration changes from what was read last, or the device comes to need a reset: by interrupt where there is
    /// one, else by looking.
    /// </summary>
    /// <param name="timeout">How long.</param>
    /// <returns>True if there is something to read or <see cref="NeedsReset"/> is true; false if nothing changed in time.</returns>
    public bool WaitConfigurationChange(TimeSpan timeout)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        bool interrupt = ConfigurationEvent is null && (ConfigurationVector is not null || Completion == CompletionMode.Pin);
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            byte generation = Common.ConfigGeneration;
            if (generation != _seenGeneration || NeedsReset)
            {
                _seenGeneration = generation;
                return true;
            }

            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
            {
                return false;
            }

            lock (_configurationSignal)
            {
                if (!_configurationSignalled)
                {
                    Monitor.Wait(_configurationSignal, interrupt || left < _lookEvery ? left : _lookEvery);
                }

                _configurationSignalled = false;
            }

            ServePin(null);
        }
    }

    /// <summary>Reads the ISR, which takes the pin down, and passes on what it says (4.1.4.5).</summary>
    /// <param name="reader">The queue whose waiter reads, which looks anyway.</param>
    internal void ServePin(DriverQueue? reader)
    {
        if (Completion != CompletionMode.Pin || _structures.Isr is not { } isr)
        {
            return;
        }

        var reasons = (IsrStatus)_access.ReadBar(isr.Bar, isr.Offset, 1);
        _access.PinServed();
        if ((reasons & IsrStatus.Queue) != 0)
        {
            foreach (DriverQueue queue in _queues)
            {
                if (queue == reader)
                {
                    queue.CountInterrupt();
                }
                else
                {
                    queue.Signal();
                }
            }
        }

        if ((reasons & IsrStatus.Configuration) != 0)
        {
            OnConfiguration();
        }
    }

    /// <summary>
    /// Enables interrupts before any vector is written: one for configuration changes and one for each queue, if there are as many.
    /// </summary>
    private void EnableInterrupts(int queues)
    {
        int vectors = Math.Min(Math.Min(_access.MessageVectors, Options.MaximumVectors), queues + 1);
        if (Options.Completion == CompletionMode.Messages && vectors > 0)
        {
            _vectors = vectors;
            if (Options.HandsOutEvents)
            {
                _events = [.. Enumerable.Range(0, vectors).Select(static _ => new EventFd())];
                _access.EnableMessages(_events);
            }
            else
            {
                _access.EnableMessages(vectors, OnMessage);
            }

            Completion = CompletionMode.Messages;
            Common.ConfigMsixVector = 0;
            ConfigurationVector = Common.ConfigMsixVector == 0 ? 0 : null;
        }
        else if (Options.Completion != CompletionMode.Polling && _access.HasPin && _structures.Isr is not null)
        {
            Completion = CompletionMode.Pin;
            _access.EnablePin(OnPin);
        }
    }

    private void DisableInterrupts()
    {
        _access.DisableInterrupts();
        foreach (EventFd signalled in _events)
        {
            signalled.Dispose();
        }
    }

    private void SetUpInterrupt(DriverQueue queue)
    {
        queue.HasInterrupt = Completion == CompletionMode.Pin;
        if (_vectors > 0)
        {
            // One of its own or shared; refused, the one of configuration changes; refused too, the queue is polled.
            int vector = LeastUsedVector();
            queue.Vector = TrySetQueueVector(vector) ? vector : TrySetQueueVector(0) ? 0 : null;
            queue.HasInterrupt = queue.Vector is not null;
            queue.CompletionEvent = queue.Vector is { } own && _events.Length > 0 ? _events[own] : null;
        }
    }

    private int LeastUsedVector()
    {
        int best = 0;
        int fewest = int.MaxValue;
        for (int vector = 1; vector < _vectors; vector++)
        {
            int users = _queues.Count(queue => queue.Vector == vector);
            (best, fewest) = users < fewest ? (vector, users) : (best, fewest);
        }

        return best;
    }

    private bool TrySetQueueVector(int vector)
    {
        Common.QueueMsixVector = (ushort)vector;
        return Common.QueueMsixVector == vector;
    }

    private void OnMessage(int vector)
    {
        foreach (DriverQueue queue in _queues)
        {
            if (queue.Vector == vector)
            {
                queue.Signal();
            }
        }

        if (vector == ConfigurationVector)
        {
            OnConfiguration();
        }
    }

    /// <summary>Who waits reads the ISR: not here, where the device may be in the middle of asserting the pin.</summary>
    private void OnPin()
    {
        foreach (DriverQueue queue in _queues)
        {
            queue.Wake();
        }

        WakeConfiguration();
    }

    private void OnConfiguration()
    {
        Interlocked.Increment(ref _configurationInterrupts);
        WakeConfiguration();
        foreach (DriverQueue queue in _queues)
        {
            queue.Wake();
        }
    }

    private void WakeConfiguration()
    {
        lock (_configurationSignal)
        {
            _configurationSignalled = true;
            Monitor.PulseAll(_configurationSignal);
        }
    }
}
