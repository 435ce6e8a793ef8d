using System;
using System.Collections.Generic;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <content>Capabilities: their lists, their hooks, and what interrupts and power states mean for the function.</content>
public partial class PciFunction
{
    /// <summary>The capabilities in the order of their lists.</summary>
    public IReadOnlyList<PciCapability> Capabilities => _capabilities;

    /// <summary>The MSI-X capability, or null.</summary>
    public MsixCapability? Msix => _msix;

    /// <summary>The MSI capability, or null.</summary>
    public MsiCapability? Msi => _msi;

    /// <summary>The power state; D0 for a function without power management.</summary>
    public PciPowerState PowerState => _power?.State ?? PciPowerState.D0;

    /// <summary>True while MSI-X is the interrupt mechanism and INTx is silent.</summary>
    public bool IsMsixEnabled => _msix is { IsEnabled: true };

    /// <summary>True while interrupts are messages (MSI-X or MSI) and INTx is silent.</summary>
    public bool UsesMessages => IsMsixEnabled || _msi is { IsEnabled: true };

    /// <summary>Appends a capability to its list.</summary>
    /// <param name="capability">A capability of no function.</param>
    /// <exception cref="ArgumentException">The list overflows, or the function has no extended space.</exception>
    /// <exception cref="InvalidOperationException">The function has been on a bus.</exception>
    public void AddCapability(PciCapability capability)
    {
        ArgumentNullException.ThrowIfNull(capability);
        ThrowIfSealed();
        if (capability.Function is not null)
        {
            throw new ArgumentException("the capability belongs to a function already", nameof(capability));
        }

        string? single = capability switch
        {
            MsixCapability => "MSI-X",
            MsiCapability => "MSI",
            PowerManagementCapability => "power management",
            PciExpressCapability => "PCI Express",
            _ => null,
        };
        if (single is not null && _capabilities.Exists(other => other.Id == capability.Id))
        {
            throw new ArgumentException($"a function has one {single} capability", nameof(capability));
        }

        bool extended = capability is PciExtendedCapability;
        int end = extended ? _space.Length : PciConfigurationSpace.ConventionalLength;
        ref int next = ref extended ? ref _nextExtended : ref _nextStandard;
        if (capability.Length > end - next)
        {
            throw new ArgumentException(
                $"{Name}: the {(extended ? "extended " : string.Empty)}capability list overflows: "
                + $"id 0x{capability.Id:x} takes {capability.Length} bytes at 0x{next:x}, "
                + $"the list ends at 0x{end:x}",
                nameof(capability));
        }

        int offset = next;
        next += (capability.Length + 3) & ~3;
        Place(capability, offset, capability.HeaderFor(0));
        Link(capability, extended);
    }

    /// <summary>Puts a capability where a real device has it. The function that does so writes the list's pointers itself.</summary>
    /// <param name="capability">A capability of no function, of a kind that the function does not have yet.</param>
    /// <param name="offset">A multiple of 4; the capability ends inside the space.</param>
    /// <param name="next">Offset of the next entry of its list, 0 for none.</param>
    protected void PlaceCapability(PciCapability capability, int offset, int next)
    {
        ArgumentNullException.ThrowIfNull(capability);
        ThrowIfSealed();
        Place(capability, offset, capability.HeaderFor(next));
    }

    /// <summary>Called by MSI-X and MSI when an enable or mask bit has changed.</summary>
    internal void InterruptModeChanged()
    {
        Intx.Refresh();

        // MSI-X decides whether MSI sends.
        _msi?.FunctionChanged();
        CallHook(static function => function.OnInterruptModeChanged(), ConfigurationRegisters.Command);
    }

    /// <summary>The power state changed: decoding, mastering and the pin follow it, or all of them a reset.</summary>
    internal void PowerStateChanged(bool reset)
    {
        if (reset)
        {
            ScheduleReset();
            return;
        }

        ApplyBusMaster();
        Intx.Refresh();
        ScheduleMapping();
        OnPowerStateChanged();
    }

    internal void ReportRouteRefused(int vector, HostException reason)
    {
        if (_reports.TryTake(out long suppressed))
        {
            Log.RouteRefused(_logger, reason, Name, Address, vector, suppressed);
        }
    }

    private void Place(PciCapability capability, int offset, uint header)
    {
        capability.DefineIn(_space, offset);
        _space.Redefine(offset, capability is PciExtendedCapability ? uint.MaxValue : 0xffff, header);
        capability.Function = this;
        _capabilities.Add(capability);
        _msix ??= capability as MsixCapability;
        _msi ??= capability as MsiCapability;
        _power ??= capability as PowerManagementCapability;
        for (int at = offset; at < offset + capability.Length; at += 4)
        {
            _writeHooks[at / 4] = capability;
            _readHooks[at / 4] = capability.HandlesReads ? capability : null;
        }
    }

    private uint ReadHandled(PciCapability hook, int offset, int width)
    {
        int register = offset & ~3;
        try
        {
            uint value = hook.OnRead(register - hook.Offset, ByteLanes.Of(offset, width), _space.ReadRegister(register));
            return (value >> ((offset & 3) * 8)) & (uint)AccessWidth.Mask(width);
        }
        catch (Exception e)
        {
            Fault(e, offset);
            return (uint)AccessWidth.Mask(width);
        }
    }

    private void WriteHandled(PciCapability hook, in ConfigurationWrite write)
    {
        try
        {
            hook.OnWritten(write.Offset - hook.Offset, write);
        }
        catch (Exception e)
        {
            Fault(e, write.Offset);
        }
    }

    private void Link(PciCapability capability, bool extended)
    {
        if (extended)
        {
            // The extended list starts at 0x100 without a pointer to it.
            if (_lastExtended is not null)
            {
                _space.Redefine(_lastExtended.Offset, uint.MaxValue, _lastExtended.HeaderFor(capability.Offset));
            }

            _lastExtended = capability;
            return;
        }

        if (_lastStandard is null)
        {
            _space.Redefine(ConfigurationRegisters.CapabilitiesPointer, 0xff, (uint)capability.Offset);
            _space.Redefine(ConfigurationRegisters.Command, (uint)PciStatus.CapabilitiesList << 16, (uint)PciStatus.CapabilitiesList << 16);
        }
        else
        {
            _space.Redefine(_lastStandard.Offset, 0xffff, _lastStandard.HeaderFor(capability.Offset));
        }

        _lastStandard = capability;
    }
}
