using System;
using System.Globalization;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>A PCI function as the transport sees it. Doorbells belong to the transition lock.</summary>
internal sealed class VirtioPciHost(VirtioPciFunction function, VirtioPciLayout layout, VirtioPciInterrupts interrupts) : ITransportHost
{
    private readonly IDisposable?[] _doorbells = new IDisposable?[function.Device.QueueSizes.Count];
    private int _configurationVector = VirtioPciIds.NoVector;

    /// <inheritdoc/>
    public DmaTarget Dma => function.Dma!;

    /// <inheritdoc/>
    public ushort ConfigurationVector => (ushort)Volatile.Read(ref _configurationVector);

    /// <inheritdoc/>
    public bool HasVector(ushort vector) => interrupts.Has(vector);

    /// <inheritdoc/>
    public ITransportInterrupt CreateQueueInterrupt() => new VirtioPciQueueInterrupt(interrupts);

    /// <inheritdoc/>
    public bool TryMapConfiguration(ushort vector)
    {
        bool has = interrupts.Has(vector);
        Volatile.Write(ref _configurationVector, has ? vector : VirtioPciIds.NoVector);
        return has;
    }

    /// <inheritdoc/>
    public void SignalConfiguration() => interrupts.SignalConfiguration(ConfigurationVector);

    /// <inheritdoc/>
    public void ClearInterrupts() => interrupts.Clear();

    /// <inheritdoc/>
    public void RunAfterAccess(Action effect)
    {
        if (function.Bus is { } bus)
        {
            bus.RunAfterAccess(effect);
        }
        else
        {
            effect();
        }
    }

    /// <inheritdoc/>
    public void AddDoorbell(int queue, EventFd kick, int width)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"queue{queue}");
        uint offset = layout.NotifyOffset + (uint)(queue * NotifyRegion.Multiplier);
        _doorbells[queue] = function.AddDoorbell(name, VirtioPciLayout.Bar, offset, width, kick);
    }

    /// <inheritdoc/>
    public void RemoveDoorbell(int queue)
    {
        _doorbells[queue]?.Dispose();
        _doorbells[queue] = null;
    }
}
