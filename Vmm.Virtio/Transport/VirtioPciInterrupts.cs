using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>
/// Turns the device's events into messages or into the pin, by the mode that the driver has chosen at that time (4.1.5.3, 4.1.5.4).
/// </summary>
/// <remarks>
/// The driver may switch MSI-X at any moment, so an event is given to the mechanism in one step with the look whether that is in force, and to the
/// other one if it is not.
/// </remarks>
/// <param name="name">Names the relay's thread.</param>
/// <param name="msix">The vectors, or null for a function without MSI-X.</param>
/// <param name="isr">The status byte for INTx.</param>
/// <param name="loggerFactory">Where the relay logs.</param>
internal sealed class VirtioPciInterrupts(string name, MsixCapability? msix, IsrRegister isr, ILoggerFactory? loggerFactory) : IDisposable
{
    private readonly Lock _lock = new();
    private Worker? _relay;
    private bool _disposed;

    /// <summary>Whether an event can be mapped to a vector, or to none.</summary>
    public bool Has(ushort vector) => vector == VirtioPciIds.NoVector || vector < VectorCount;

    /// <summary>A queue has used buffers.</summary>
    public void SignalQueue(ushort vector)
    {
        if (TrySignalVector(vector))
        {
            return;
        }

        isr.Raise(IsrStatus.Queue);

        // Enabled since the look: the pin was silent already.
        TrySignalVector(vector);
    }

    /// <summary>Configuration or status has changed; the ISR bit is set in either mode (4.1.4.5.1).</summary>
    public void SignalConfiguration(ushort vector)
    {
        // The bit speaks through the pin as soon as MSI-X is off, so that nothing is lost if it goes off now.
        isr.Raise(IsrStatus.Configuration);
        TrySignalVector(vector);
    }

    /// <summary>Makes an eventfd for an event, mapped to no vector.</summary>
    /// <param name="untold">Signals the event in another way, if no vector takes it.</param>
    public MessageSource CreateSource(Action untold) => new(Relay(), untold);

    /// <summary>Maps an eventfd to a vector, or to none.</summary>
    public void Map(MessageSource source, ushort vector) => source.MoveTo(vector < VectorCount ? msix![vector] : null);

    /// <summary>Drops what was signalled and not delivered.</summary>
    public void Clear()
    {
        isr.ReadAndClear();
        msix?.ClearPending();
    }

    /// <summary>Ends the relay; every queue has stopped.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _relay?.Dispose();
        }
    }

    private int VectorCount => msix?.VectorCount ?? 0;

    /// <summary>The worker that watches eventfds while nobody else delivers them: there is none before somebody asks for the first.</summary>
    private Worker Relay()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_relay is null)
            {
                var relay = new Worker($"{name}-irq", loggerFactory);
                try
                {
                    relay.Start();
                }
                catch
                {
                    relay.Dispose();
                    throw;
                }

                _relay = relay;
            }

            return _relay;
        }
    }

    /// <returns>False if MSI-X is not in force.</returns>
    private bool TrySignalVector(ushort vector)
    {
        if (msix is null)
        {
            return false;
        }

        // An event that is mapped to NO_VECTOR, which is above every table, is told to nobody.
        return vector < msix.VectorCount ? msix[vector].TrySignal() : msix.IsEnabled;
    }
}
