using System;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Capabilities;

/// <summary>Power management: the states D0 and D3hot, without PME (PCI-PM 1.2, 3.2; PCI-13).</summary>
/// <remarks>
/// In D3hot the function answers configuration accesses only: no BAR decodes, it neither masters the bus nor interrupts.
/// What a return to D0 finds is said by <see cref="NoSoftReset"/>. The return takes effect when the access that asks for it has ended.
/// </remarks>
public sealed class PowerManagementCapability : PciCapability
{
    /// <summary>Version and Device Specific Initialization.</summary>
    public const ushort SupportedCapabilities = 0x27;

    /// <summary>Offset of the control and status register in the capability.</summary>
    internal const int ControlStatus = 4;

    /// <summary>Where that register has the power state.</summary>
    internal const uint PowerStateBits = 3;

    /// <summary>Describes the capability.</summary>
    /// <param name="noSoftReset">
    /// True: the function comes back from D3hot with its registers and its state. False: it is reset on its way back to D0.
    /// </param>
    /// <param name="capabilities">
    /// The capabilities register, of which only the version (bits 0 to 2) and Device Specific Initialization (bit 5) may be set: D1, D2 and PME are
    /// not supported. Version 3 is that of PCI-PM 1.2.
    /// </param>
    /// <exception cref="ArgumentException">Other bits of <paramref name="capabilities"/> are set.</exception>
    public PowerManagementCapability(bool noSoftReset = false, ushort capabilities = 3)
        : base(CapabilityIds.PowerManagement, 8)
    {
        if ((capabilities & ~SupportedCapabilities) != 0)
        {
            throw new ArgumentException($"0x{capabilities:x4} names power management that is not supported", nameof(capabilities));
        }

        NoSoftReset = noSoftReset;
        Define(2, 2, capabilities);
        Define(ControlStatus, 2, noSoftReset ? 8u : 0);
    }

    /// <summary>The function keeps its state over D3hot.</summary>
    public bool NoSoftReset { get; }

    /// <inheritdoc/>
    public override string Description => $"power management: D0, D3hot ({(NoSoftReset ? "keeps its state" : "loses its state")})";

    /// <summary>The state that the guest asked for last.</summary>
    public PciPowerState State => List is null ? PciPowerState.D0 : (PciPowerState)(ReadBytes(ControlStatus, 2) & PowerStateBits);

    /// <inheritdoc/>
    protected internal override void OnSealed() => List!.Space.DefineDeviceBits(Offset + ControlStatus, PowerStateBits);

    /// <inheritdoc/>
    protected internal override void OnWritten(int offset, in ConfigurationWrite write)
    {
        // PowerState is handled and not plainly writable: a write of a state that is not offered completes and changes nothing (PCI-PM 1.2, 3.2.4).
        if (offset != ControlStatus || !write.Lanes.Overlaps(new ByteLanes(1)))
        {
            return;
        }

        uint state = write.Written & PowerStateBits;
        if ((PciPowerState)state is not (PciPowerState.D0 or PciPowerState.D3Hot))
        {
            return;
        }

        uint old = List!.Space.Update(Offset + ControlStatus, PowerStateBits, state) & PowerStateBits;
        if (old != state)
        {
            List.Owner.PowerStateChanged(reset: state == (uint)PciPowerState.D0 && !NoSoftReset);
        }
    }
}
