using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>A carrier that is no PCI function: no vectors, interrupts are counted, effects run when the test says so.</summary>
internal sealed class PlainHost(DmaTarget dma) : ITransportHost
{
    private readonly Queue<Action> _effects = new();
    private int _configurationSignals;

    public List<PlainInterrupt> Interrupts { get; } = [];

    /// <summary>Doorbells in place: queue to eventfd and width.</summary>
    public Dictionary<int, (EventFd Kick, int Width)> Doorbells { get; } = [];

    public int ConfigurationSignals => Volatile.Read(ref _configurationSignals);

    public int Clears { get; private set; }

    public DmaTarget Dma => dma;

    public ushort ConfigurationVector => VirtioPciIds.NoVector;

    public ITransportInterrupt CreateQueueInterrupt()
    {
        var interrupt = new PlainInterrupt();
        Interrupts.Add(interrupt);
        return interrupt;
    }

    public bool HasVector(ushort vector) => vector == VirtioPciIds.NoVector;

    public bool TryMapConfiguration(ushort vector) => HasVector(vector);

    public void SignalConfiguration() => Interlocked.Increment(ref _configurationSignals);

    public void ClearInterrupts() => Clears++;

    public void RunAfterAccess(Action effect) => _effects.Enqueue(effect);

    public void AddDoorbell(int queue, EventFd kick, int width) => Doorbells.Add(queue, (kick, width));

    public void RemoveDoorbell(int queue) => Doorbells.Remove(queue);

    /// <summary>The access has ended.</summary>
    public void RunEffects()
    {
        while (_effects.TryDequeue(out Action? effect))
        {
            effect();
        }
    }

    /// <summary>Counts signals while its queue runs.</summary>
    internal sealed class PlainInterrupt : ITransportInterrupt
    {
        private int _signals;

        public bool IsOpen { get; private set; }

        public int Signals => Volatile.Read(ref _signals);

        public bool TryMap(ushort vector) => vector == VirtioPciIds.NoVector;

        public void Signal() => Interlocked.Increment(ref _signals);

        public EventFd GetEventFd() => throw new NotSupportedException("this host's devices are in process");

        public void Open() => IsOpen = true;

        public void Close() => IsOpen = false;
    }
}
