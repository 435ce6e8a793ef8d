using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Capabilities;

/// <summary>The capabilities of a function: where they lie in configuration space, how their two lists are linked, and whose a register is.</summary>
/// <remarks>Capabilities are added by one thread before the function joins a bus; from then on any thread reads.</remarks>
internal sealed class CapabilityList : IDisposable
{
    private readonly List<PciCapability> _all = [];
    private PowerManagementCapability? _power;
    private PciCapability? _lastStandard;
    private PciCapability? _lastExtended;
    private int _nextStandard = ConfigurationRegisters.FirstCapability;
    private int _nextExtended = ConfigurationRegisters.FirstExtendedCapability;

    public CapabilityList(PciConfigurationSpace space, ICapabilityOwner owner, BusMastering mastering)
    {
        Space = space;
        Owner = owner;
        Mastering = mastering;
        WriteHooks = new PciCapability?[space.Length / 4];
        ReadHooks = new PciCapability?[space.Length / 4];
    }

    /// <summary>The registers that the capabilities lie in.</summary>
    public PciConfigurationSpace Space { get; }

    /// <summary>The function.</summary>
    public ICapabilityOwner Owner { get; }

    /// <summary>Whether messages may be sent.</summary>
    public BusMastering Mastering { get; }

    /// <summary>The capabilities in the order in which they were added.</summary>
    public IReadOnlyList<PciCapability> All => _all;

    /// <summary>The capability that is told of writes, by register.</summary>
    public PciCapability?[] WriteHooks { get; }

    /// <summary>The capability that answers reads, by register.</summary>
    public PciCapability?[] ReadHooks { get; }

    /// <summary>The MSI-X capability, or null.</summary>
    public MsixCapability? Msix { get; private set; }

    /// <summary>The MSI capability, or null.</summary>
    public MsiCapability? Msi { get; private set; }

    /// <summary>The power state; D0 for a function without power management.</summary>
    public PciPowerState PowerState => _power?.State ?? PciPowerState.D0;

    /// <summary>True while MSI-X is the interrupt mechanism.</summary>
    public bool IsMsixEnabled => Msix is { IsEnabled: true };

    /// <summary>True while interrupts are messages (MSI-X or MSI).</summary>
    public bool UsesMessages => IsMsixEnabled || Msi is { IsEnabled: true };

    /// <summary>Appends a capability to its list.</summary>
    /// <exception cref="ArgumentException">The list overflows, the capability is another function's, or the second of its kind.</exception>
    public void Add(PciCapability capability)
    {
        ThrowUnlessNew(capability);
        bool extended = capability is PciExtendedCapability;
        int end = extended ? Space.Length : PciConfigurationSpace.ConventionalLength;
        ref int next = ref extended ? ref _nextExtended : ref _nextStandard;
        if (capability.Length > end - next)
        {
            throw new ArgumentException(
                $"{Owner.Name}: the {(extended ? "extended " : string.Empty)}capability list overflows: "
                + $"id 0x{capability.Id:x} takes {capability.Length} bytes at 0x{next:x}, "
                + $"the list ends at 0x{end:x}",
                nameof(capability));
        }

        int offset = next;
        next += (capability.Length + 3) & ~3;
        Place(capability, offset, next: 0);
        Link(capability, extended);
    }

    /// <summary>Puts a capability at an offset with a given next pointer; whoever does so links the list.</summary>
    public void Place(PciCapability capability, int offset, int next)
    {
        capability.DefineIn(this, offset);
        Space.Redefine(offset, capability is PciExtendedCapability ? uint.MaxValue : 0xffff, capability.HeaderFor(next));
        _all.Add(capability);
        Msix ??= capability as MsixCapability;
        Msi ??= capability as MsiCapability;
        _power ??= capability as PowerManagementCapability;
        for (int at = offset; at < offset + capability.Length; at += 4)
        {
            WriteHooks[at / 4] = capability;
            ReadHooks[at / 4] = capability.HandlesReads ? capability : null;
        }
    }

    /// <summary>A guest's read of a register that a capability answers; all-ones if its code throws.</summary>
    public uint Read(PciCapability hook, int offset, int width)
    {
        int register = offset & ~3;
        try
        {
            uint value = hook.OnRead(register - hook.Offset, ByteLanes.Of(offset, width), Space.ReadRegister(register));
            return (value >> ((offset & 3) * 8)) & (uint)AccessWidth.Mask(width);
        }
        catch (Exception e)
        {
            Owner.Fault(e, offset);
            return (uint)AccessWidth.Mask(width);
        }
    }

    /// <summary>A guest wrote a register of a capability, which has taken the value already.</summary>
    public void Written(PciCapability hook, in ConfigurationWrite write)
    {
        try
        {
            hook.OnWritten(write.Offset - hook.Offset, write);
        }
        catch (Exception e)
        {
            Owner.Fault(e, write.Offset);
        }
    }

    /// <summary>The function joins a bus for the first time: each capability checks itself.</summary>
    /// <exception cref="ArgumentException">A capability describes something that the function does not have.</exception>
    public void Seal() => _all.ForEach(static capability => capability.OnSealed());

    /// <summary>The function has joined a bus.</summary>
    public void Attached() => _all.ForEach(static capability => capability.OnAttached());

    /// <summary>The function has left its bus.</summary>
    public void Detached() => _all.ForEach(static capability => capability.OnDetached());

    /// <summary>The registers have their power-on values.</summary>
    public void Reset() => _all.ForEach(static capability => capability.OnReset());

    /// <summary>The function has another address.</summary>
    public void AddressChanged()
    {
        Msix?.AddressChanged();
        Msi?.AddressChanged();
    }

    /// <summary>The function may send messages now, or may not any more.</summary>
    public void MasteringChanged()
    {
        Msix?.FunctionChanged();
        Msi?.FunctionChanged();
    }

    /// <summary>Releases what the capabilities hold.</summary>
    public void Dispose() => _all.ForEach(static capability => (capability as IDisposable)?.Dispose());

    private void ThrowUnlessNew(PciCapability capability)
    {
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
        if (single is not null && _all.Exists(other => other.Id == capability.Id))
        {
            throw new ArgumentException($"a function has one {single} capability", nameof(capability));
        }
    }

    private void Link(PciCapability capability, bool extended)
    {
        if (extended)
        {
            // The extended list starts at 0x100 without a pointer to it.
            if (_lastExtended is not null)
            {
                Space.Redefine(_lastExtended.Offset, uint.MaxValue, _lastExtended.HeaderFor(capability.Offset));
            }

            _lastExtended = capability;
            return;
        }

        if (_lastStandard is null)
        {
            Space.Redefine(ConfigurationRegisters.CapabilitiesPointer, 0xff, (uint)capability.Offset);
            Space.Redefine(ConfigurationRegisters.Command, (uint)PciStatus.CapabilitiesList << 16, (uint)PciStatus.CapabilitiesList << 16);
        }
        else
        {
            Space.Redefine(_lastStandard.Offset, 0xffff, _lastStandard.HeaderFor(capability.Offset));
        }

        _lastStandard = capability;
    }
}
