using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.Pci.Access;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Vfio.Passthrough;

/// <content>Configuration space: which bits are ours and which are the device's (VFIO-6).</content>
public sealed partial class PassthroughFunction
{
    private const PciCommand CommandBitsOfOurs = PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster;

    // By 32-bit register. What the guest reads of the emulated bits comes from our own registers; what it writes to the withheld ones does
    // not reach the device. A byte of which every bit is withheld is not written at all.
    private readonly uint[] _emulated;
    private readonly uint[] _withheld;
    private readonly PciCommand _decode;
    private readonly Lock _commandLock = new();
    private PciCommand _pushed;

    /// <inheritdoc/>
    public override uint ReadConfiguration(int offset, int width)
    {
        if (!IsAccess(offset, width))
        {
            return uint.MaxValue;
        }

        uint lanes = uint.MaxValue >> (32 - (width * 8));
        uint emulated = (_emulated[offset >> 2] >> ((offset & 3) * 8)) & lanes;
        uint own = emulated == 0 ? 0 : base.ReadConfiguration(offset, width) & emulated;
        return emulated == lanes ? own : own | ((uint)_access.Read(PciRegionIndex.Configuration, (ulong)offset, width) & ~emulated);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// What the guest reads: the device's own registers are read from the device, by 32-bit accesses, as every lister of devices does.
    /// </remarks>
    public override void CopyConfiguration(Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, ConfigurationSpace.Length, nameof(destination));
        for (int offset = 0; offset < destination.Length; offset += sizeof(uint))
        {
            BinaryPrimitives.WriteUInt32LittleEndian(destination[offset..], ReadConfiguration(offset, sizeof(uint)));
        }
    }

    /// <inheritdoc/>
    public override void WriteConfiguration(int offset, int width, uint value)
    {
        if (!IsAccess(offset, width))
        {
            return;
        }

        base.WriteConfiguration(offset, width, value);
        if (offset is ConfigurationRegisters.Command or ConfigurationRegisters.Command + 1)
        {
            PushCommand();
            _interrupts.Apply();
        }

        WriteDevice(offset, width, value);
    }

    /// <summary>Shows type and link as they are where the function sits now. The guest does not see it yet.</summary>
    internal void EmulateExpress(ExpressCapability capability)
    {
        for (int at = 0; at < capability.Length; at += 4)
        {
            int register = (capability.Offset + at) / 4;
            _emulated[register] &= at == 0 ? 0xffffu : 0;
            _withheld[register] &= at == 0 ? 0xffffu : 0;
        }

        foreach (ExpressBits bits in capability.BitsFor(Bus!.IsRoot))
        {
            Emulate(capability.Offset + bits.Offset, bits.Width, bits.Value, bits.Mask);
        }

        // The bit is one for writing only: it reads zero from any device.
        Withhold(capability.Offset + ExpressCapability.DeviceControl, ExpressCapability.InitiateFlr);
    }

    /// <summary>
    /// Gives the device the Command register that follows from the guest's: its BARs decode always, it masters the bus only while the function may.
    /// </summary>
    private void PushCommand(bool always = false)
    {
        lock (_commandLock)
        {
            PciCommand wanted = (Command & ~CommandBitsOfOurs) | _decode | (IsBusMaster && !_released ? PciCommand.BusMaster : 0);
            if (always || wanted != _pushed)
            {
                _pushed = wanted;
                _access.Write(PciRegionIndex.Configuration, ConfigurationRegisters.Command, 2, (ulong)wanted);
            }
        }
    }

    /// <summary>Writes those bytes of a guest's write that are the device's, by as few accesses as they take.</summary>
    private void WriteDevice(int offset, int width, uint value)
    {
        uint withheld = _withheld[offset >> 2] >> ((offset & 3) * 8);
        value &= ~withheld;
        for (int at = 0; at < width;)
        {
            int piece = width - at;
            while (piece > 1 && ((at & (piece - 1)) != 0 || !IsDevices(withheld, at, piece)))
            {
                piece /= 2;
            }

            if (IsDevices(withheld, at, piece))
            {
                _access.Write(PciRegionIndex.Configuration, (ulong)(offset + at), piece, (value >> (at * 8)) & (uint.MaxValue >> (32 - (piece * 8))));
            }

            at += piece;
        }
    }

    /// <summary>True if none of some bytes is withheld as a whole.</summary>
    private static bool IsDevices(uint withheld, int first, int count)
    {
        for (int i = first; i < first + count; i++)
        {
            if (((withheld >> (i * 8)) & 0xff) == 0xff)
            {
                return false;
            }
        }

        return true;
    }

    private void EmulateHeader()
    {
        Own(ConfigurationRegisters.VendorId, 4);
        _emulated[ConfigurationRegisters.Command / 4] |= (uint)CommandBitsOfOurs;
        _withheld[ConfigurationRegisters.Command / 4] |= 0xffff;
        Own(ConfigurationRegisters.RevisionId, 4);
        Own(ConfigurationRegisters.HeaderType, 1);
        Own(ConfigurationRegisters.Bar0, 24);
        Own(ConfigurationRegisters.SubsystemVendorId, 4);
        Own(ConfigurationRegisters.ExpansionRom, 4);
        Own(ConfigurationRegisters.InterruptLine, 2);
    }

    private void PlaceCapabilities(MsixCapability? msix)
    {
        var list = Layout.Capabilities.Select(capability => (capability.Offset, capability.Id)).ToList();
        int clique = _options.GpuDirectClique is null ? 0 : CliqueCapability.FindRoom(Layout);
        if (clique > 0)
        {
            list.Add((clique, CapabilityIds.VendorSpecific));
        }

        Emulate(ConfigurationRegisters.CapabilitiesPointer, 1, list.Count == 0 ? 0u : (uint)list[0].Offset, 0xff);
        const uint HasList = (uint)PciStatus.CapabilitiesList;
        Emulate(ConfigurationRegisters.Status, 2, list.Count == 0 ? 0 : HasList, HasList);
        for (int i = 0; i < list.Count; i++)
        {
            (int offset, int id) = list[i];
            int next = i + 1 < list.Count ? list[i + 1].Offset : 0;
            Place(offset, next, msix, clique);
            Emulate(offset, 2, (uint)(id | (next << 8)), 0xffff);
        }

        foreach (DeviceCapability hidden in Layout.Hidden.Where(hidden => hidden.Offset < PciConfigurationSpace.ConventionalLength))
        {
            // MSI is the longest of those that are hidden.
            Own(hidden.Offset, Math.Min(hidden.Room, 24));
        }
    }

    /// <summary>Puts the object behind a capability that is more than bytes of the device.</summary>
    private void Place(int offset, int next, MsixCapability? msix, int clique)
    {
        if (offset == clique)
        {
            var added = new CliqueCapability(_options.GpuDirectClique!.Value);
            PlaceCapability(added, offset, next);
            Own(offset, added.Length);
        }
        else if (msix is not null && offset == Layout.Msix!.Capability.Offset)
        {
            PlaceCapability(msix, offset, next);
            Own(offset, msix.Length);
        }
        else if (Layout.Msi is { } msi && offset == msi.Capability.Offset)
        {
            var emulated = new MsiCapability(msi.VectorCount, msi.Is64Bit, msi.HasPerVectorMasking);
            PlaceCapability(emulated, offset, next);
            Own(offset, emulated.Length);
        }
        else if (offset == Layout.PowerManagement?.Offset)
        {
            const int NoSoftReset = 8;
            ReadOnlySpan<byte> image = Layout.Image.Span[offset..];
            var power = new PowerManagementCapability(
                (image[4] & NoSoftReset) != 0, (ushort)(image[2] & PowerManagementCapability.SupportedCapabilities));
            PlaceCapability(power, offset, next);
            Own(offset, power.Length);
        }
        else if (Layout.Express is { } express && offset == express.Offset)
        {
            PlaceExpress(express, next);
        }
        else if (offset == Layout.AdvancedFeatures?.Offset)
        {
            bool canReset = (Layout.Image.Span[offset + AdvancedFeaturesCapability.Capabilities] & AdvancedFeaturesCapability.FlrCapable) != 0
                && _backend.CanReset;
            PlaceCapability(new AdvancedFeaturesCapability(canReset), offset, next);
            Own(offset + AdvancedFeaturesCapability.Control, 1);
            if (!canReset)
            {
                Emulate(offset + AdvancedFeaturesCapability.Capabilities, 1, 0, AdvancedFeaturesCapability.FlrCapable);
            }
        }
    }

    private void PlaceExpress(DeviceCapability express, int next)
    {
        const uint FlrCapable = 0x10;
        ReadOnlySpan<byte> image = Layout.Image.Span;
        bool canReset = (image[express.Offset + 7] & FlrCapable) != 0 && _backend.CanReset;
        uint flags = (uint)(image[express.Offset + 2] | (image[express.Offset + 3] << 8));
        PlaceCapability(new ExpressCapability(express, flags, canReset), express.Offset, next);
    }

    /// <summary>Makes the extended list one of those that the guest sees. Its head is at 0x100 whatever is there.</summary>
    private void LinkExtendedCapabilities()
    {
        const int Head = ConfigurationRegisters.FirstExtendedCapability;
        foreach (DeviceCapability hidden in Layout.Hidden.Where(hidden => hidden.Offset >= Head))
        {
            Own(hidden.Offset, Math.Min(hidden.Room, DeviceCapabilityIds.HiddenLength(hidden.Id)));
        }

        IReadOnlyList<DeviceCapability> list = Layout.ExtendedCapabilities;
        for (int i = 0; i < list.Count; i++)
        {
            int next = i + 1 < list.Count ? list[i + 1].Offset : 0;
            Emulate(list[i].Offset, 4, (uint)(list[i].Id | (list[i].Version << 16) | (next << 20)), uint.MaxValue);
        }

        if (list.Count != 0 && list[0].Offset != Head)
        {
            // A null capability says nothing and points on.
            Emulate(Head, 4, (uint)list[0].Offset << 20, uint.MaxValue);
        }
    }

    /// <summary>Bytes that are ours alone.</summary>
    private void Own(int offset, int count)
    {
        for (int i = offset; i < offset + count; i++)
        {
            uint bits = 0xffu << ((i & 3) * 8);
            _emulated[i / 4] |= bits;
            _withheld[i / 4] |= bits;
        }
    }

    /// <summary>Bits that the guest reads as a constant and that its writes do not reach (a patch).</summary>
    private void Emulate(int offset, int width, uint value, uint mask)
    {
        int shift = (offset & 3) * 8;
        mask = (mask & (uint.MaxValue >> (32 - (width * 8)))) << shift;
        _emulated[offset / 4] |= mask;
        _withheld[offset / 4] |= mask;
        ConfigurationSpace.Redefine(offset & ~3, mask, value << shift);
    }

    private void Withhold(int offset, uint bits) => _withheld[offset / 4] |= bits << ((offset & 3) * 8);
}
