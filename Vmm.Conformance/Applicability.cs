using System;
using Vmm.Conformance.Driving;
using Vmm.Pci.Access;
using Vmm.Pci.Spec;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;

namespace Vmm.Conformance;

/// <summary>Says why a check says nothing about a function.</summary>
/// <remarks>Features are read once, from a device that is reset.</remarks>
internal sealed class Applicability
{
    private readonly ConformanceTarget _target;
    private readonly IPciFunctionAccess _access;
    private readonly KnownState _state;
    private readonly ulong _features;
    private readonly int _queues;
    private readonly bool _isVirtio;

    public Applicability(ConformanceTarget target, IPciFunctionAccess access, KnownState state)
    {
        (_target, _access, _state) = (target, access, state);
        _isVirtio = target.IsVirtio || VirtioPciStructures.TryIdentify(access, out _);
        if (state.Structures is { Common: var common })
        {
            for (uint bank = 0; bank < 2; bank++)
            {
                access.WriteBar(common.Bar, common.Offset + CommonConfigurationOffset.DeviceFeatureSelect, 4, bank);
                _features |= access.ReadBar(common.Bar, common.Offset + CommonConfigurationOffset.DeviceFeature, 4) << (int)(32 * bank);
            }

            _queues = (int)access.ReadBar(common.Bar, common.Offset + CommonConfigurationOffset.NumQueues, 2);
        }
    }

    /// <summary>Queues of a virtio device whose structures can be found; 0 of anything else.</summary>
    public int Queues => _isVirtio ? _queues : 0;

    /// <summary>The target or the suite knows how a request looks.</summary>
    public bool HasWork => (_target.Work ?? KnownWork.Of(DeviceType)) is not null;

    private int DeviceType => VirtioPciStructures.TryIdentify(_access, out VirtioDeviceType type) ? (int)type : -1;

    /// <summary>The reason, or null if the check applies.</summary>
    public string? Explain(Check check)
    {
        if (!_isVirtio && check.Section.StartsWith("virtio ", StringComparison.Ordinal))
        {
            return "it is not a virtio function";
        }

        if (check.DeviceType is { } type && DeviceType != (int)type)
        {
            return $"it is about {type.ToString().ToLowerInvariant()} devices";
        }

        for (int bit = 0; bit < 32; bit++)
        {
            var need = (Need)(1 << bit);
            if ((check.Needs & need) != 0 && Missing(need) is { } reason)
            {
                return reason;
            }
        }

        for (int bit = 0; bit < 64; bit++)
        {
            if ((check.Features & ~_features & (1UL << bit)) != 0)
            {
                return $"{FeatureNames.Of(bit)} is not offered";
            }
        }

        return null;
    }

    private string? Missing(Need need)
    {
        PciFacts facts = _state.Facts;
        VirtioPciStructures? virtio = _state.Structures;
        bool has = need switch
        {
            Need.Virtio => virtio is not null,
            Need.Msix => facts.MsixVectors != 0,
            Need.TwoVectors & ~Need.Msix => facts.MsixVectors >= 2,
            Need.Pin => _access.HasPin,
            // An entropy device has none (5.4.4); a structure for it all the same says nothing.
            Need.DeviceConfiguration & ~Need.Virtio => virtio is { Device: not null } && DeviceType != (int)VirtioDeviceType.Entropy,
            Need.Work & ~Need.Virtio => HasWork,
            Need.TwoQueues & ~Need.Virtio => _queues >= 2,
            Need.Window & ~Need.Virtio => facts.Window != 0,
            Need.MemoryBar => HasBar(static bar => !bar.IsPort),
            Need.WideBar => HasBar(static bar => bar.IsWide),
            Need.PortBar => HasBar(static bar => bar.IsPort),
            Need.Rom => HasRom(),
            Need.PowerManagement => facts.Find(CapabilityIds.PowerManagement) != 0,
            Need.Express => facts.Find(CapabilityIds.PciExpress) != 0,
            Need.FunctionReset & ~Need.Express => facts.Find(CapabilityIds.PciExpress) is var at and not 0
                && (_access.ReadConfiguration(at + 4, 4) & (1 << 28)) != 0,
            Need.SharedMemory => HasVirtio(VirtioPciCapabilityType.SharedMemory),
            Need.VendorData => HasVirtio((VirtioPciCapabilityType)9),
            Need.ExtendedSpace => _access.ReadConfiguration(ConfigurationRegisters.FirstExtendedCapability, 4) != uint.MaxValue,
            Need.Decoding => (_target.Reach & TargetReach.Decoding) != 0,
            Need.MessageTable & ~Need.Msix => _state.HasMessageTable,
            Need.PowerOn => (_target.Reach & TargetReach.PowerOn) != 0,
            Need.Scratch => _target.IsScratch,
            _ => true,
        };
        return has ? null : Reason(need);
    }

    private static string Reason(Need need) => need switch
    {
        Need.Virtio => "the virtio structures cannot be found",
        Need.Msix => "there is no MSI-X capability",
        Need.TwoVectors & ~Need.Msix => "there is only one MSI-X vector",
        Need.Pin => "there is no INTx pin, or no way to hear of it",
        Need.DeviceConfiguration & ~Need.Virtio => "there is no device configuration",
        Need.Work & ~Need.Virtio => "the suite has no work for this device type",
        Need.TwoQueues & ~Need.Virtio => "there is only one queue",
        Need.Window & ~Need.Virtio => "there is no PCI configuration access capability",
        Need.MemoryBar => "there is no memory BAR",
        Need.WideBar => "there is no 64-bit BAR",
        Need.PortBar => "there is no I/O BAR",
        Need.Rom => "there is no expansion ROM",
        Need.PowerManagement => "there is no power management capability",
        Need.Express => "there is no PCI Express capability",
        Need.FunctionReset & ~Need.Express => "function-level reset is not offered",
        Need.SharedMemory => "there is no shared memory region",
        Need.VendorData => "there is no vendor data capability",
        Need.ExtendedSpace => "there is no extended configuration space",
        Need.Decoding => "the way to the function does not let BAR registers through",
        Need.MessageTable & ~Need.Msix => "the MSI-X table and control word cannot be reached",
        Need.PowerOn => "the function has been in use before",
        Need.Scratch => "the medium is not for writing",
        _ => need.ToString(),
    };

    private bool HasBar(Func<PciBarFacts, bool> wanted)
    {
        foreach (PciBarFacts bar in _state.Facts.Bars)
        {
            if (wanted(bar))
            {
                return true;
            }
        }

        return false;
    }

    private bool HasVirtio(VirtioPciCapabilityType type)
    {
        foreach (PciCapabilityEntry _ in _state.Facts.FindVirtio(_access, type))
        {
            return true;
        }

        return false;
    }

    /// <summary>A ROM register that exists keeps address bits that are written to it.</summary>
    private bool HasRom()
    {
        uint before = _access.ReadConfiguration(ConfigurationRegisters.ExpansionRom, 4);
        _access.WriteConfiguration(ConfigurationRegisters.ExpansionRom, 4, 0xffff_f800);
        bool has = _access.ReadConfiguration(ConfigurationRegisters.ExpansionRom, 4) != 0;
        _access.WriteConfiguration(ConfigurationRegisters.ExpansionRom, 4, before);
        return has;
    }
}
