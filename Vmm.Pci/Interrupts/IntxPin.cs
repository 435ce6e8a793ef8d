using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Interrupts;

/// <summary>The INTx pin of a function, as its device drives it (PCI-8).</summary>
/// <remarks>
/// The wire is driven while the device asserts, Interrupt Disable is clear, MSI-X and MSI are disabled and the function is in D0. Interrupt
/// Status follows the device's level, whatever Interrupt Disable says (PCI 3.0, 6.2.3), and is clear while MSI-X or MSI is enabled. Thread-safe. The
/// lock covers the call to the wire, so that two changes at once cannot leave a stale level; below it come the lock of a shared line and nothing else
/// of ours.
/// </remarks>
public sealed class IntxPin : IInterruptLine
{
    private const uint InterruptStatusBit = (uint)PciStatus.InterruptStatus << 16;

    private readonly PciConfigurationSpace _space;
    private readonly CapabilityList _capabilities;
    private readonly Lock _lock = new();
    private IInterruptLine? _wire;
    private bool _asserted;
    private bool _driven;

    internal IntxPin(PciConfigurationSpace space, CapabilityList capabilities, InterruptPin pin)
    {
        _space = space;
        _capabilities = capabilities;
        Pin = pin;
        space.DefineDeviceBits(ConfigurationRegisters.Command, InterruptStatusBit);
    }

    /// <summary>Which pin, or <see cref="InterruptPin.None"/>: then the level goes nowhere.</summary>
    public InterruptPin Pin { get; }

    /// <summary>The level that the device asks for.</summary>
    public bool IsAsserted => Volatile.Read(ref _asserted);

    /// <summary>The level on the wire.</summary>
    public bool IsDriven => Volatile.Read(ref _driven);

    /// <inheritdoc/>
    public void SetLevel(bool asserted)
    {
        if (Pin == InterruptPin.None)
        {
            return;
        }

        lock (_lock)
        {
            _asserted = asserted;
            Evaluate();
        }
    }

    /// <summary>Interrupt Disable, MSI-X or MSI Enable or the power state may have changed.</summary>
    internal void Refresh()
    {
        if (Pin == InterruptPin.None)
        {
            return;
        }

        lock (_lock)
        {
            Evaluate();
        }
    }

    internal void Attach(IInterruptLine? wire)
    {
        lock (_lock)
        {
            _wire = wire;
            _driven = false;
            Evaluate();
        }
    }

    internal void Detach()
    {
        lock (_lock)
        {
            if (_driven)
            {
                _driven = false;
                _wire?.SetLevel(false);
            }

            _wire = null;
        }
    }

    private void Evaluate()
    {
        bool pending = _asserted && !_capabilities.UsesMessages;
        _space.Update(ConfigurationRegisters.Command, InterruptStatusBit, pending ? InterruptStatusBit : 0);
        bool driven = pending
            && (_space.ReadRegister(ConfigurationRegisters.Command) & (uint)PciCommand.InterruptDisable) == 0
            && _capabilities.PowerState == PciPowerState.D0
            && _wire is not null;
        if (driven != _driven)
        {
            _driven = driven;
            _wire!.SetLevel(driven);
        }
    }
}
