using System;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Pci.Capabilities;

/// <summary>One entry of the extended capability list, which starts at 0x100 (PCIe base, 7.6).</summary>
public abstract class PciExtendedCapability : PciCapability
{
    /// <summary>Makes an extended capability.</summary>
    /// <param name="id">Extended capability ID.</param>
    /// <param name="version">Capability version, 1 to 15.</param>
    /// <param name="length">Bytes with the four-byte header.</param>
    protected PciExtendedCapability(ushort id, int version, int length)
        : base(id, length, 4, PciConfigurationSpace.ExpressLength - Spec.ConfigurationRegisters.FirstExtendedCapability)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(version, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(version, 15);
        Version = version;
    }

    /// <summary>Capability version.</summary>
    public int Version { get; }

    internal override uint HeaderFor(int next) => (uint)(Id | (Version << 16) | (next << 20));
}
