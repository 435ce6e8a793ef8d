using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Vfio.Passthrough;

/// <summary>
/// Makes a <see cref="DeviceLayout"/> of what a device says. Nothing is asked of the device here, and no answer of it can make this throw.
/// </summary>
public sealed class DeviceLayoutReader
{
    private const int ExpressVersion1Length = 0x14;
    private const int ExpressVersion2Length = 0x3c;

    private readonly byte[] _image;
    private readonly IReadOnlyList<BackendRegion> _regions;
    private readonly Func<PciInterruptIndex, BackendInterrupt> _interrupts;
    private readonly bool _isVirtual;
    private readonly List<string> _remarks = [];
    private readonly List<DeviceCapability> _hidden = [];

    private DeviceLayoutReader(
        byte[] image, IReadOnlyList<BackendRegion> regions, Func<PciInterruptIndex, BackendInterrupt> interrupts, bool isVirtual)
    {
        _isVirtual = isVirtual;
        _image = image;
        _regions = regions;
        _interrupts = interrupts;
    }

    /// <summary>Reads a device's description.</summary>
    /// <param name="image">Its configuration space, 256 or 4096 bytes, with a type-0 header.</param>
    /// <param name="regions">Regions 0 to 6: BARs and ROM.</param>
    /// <param name="interrupts">Its interrupts.</param>
    /// <param name="isVirtual">It is a virtual function of SR-IOV, which has neither a pin nor I/O BARs, whatever its registers say.</param>
    public static DeviceLayout Read(
        byte[] image, IReadOnlyList<BackendRegion> regions, Func<PciInterruptIndex, BackendInterrupt> interrupts, bool isVirtual = false)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(regions);
        ArgumentNullException.ThrowIfNull(interrupts);
        return new DeviceLayoutReader(image, regions, interrupts, isVirtual).Read();
    }

    private DeviceLayout Read()
    {
        List<DeviceBar> bars = ReadBars();
        var standard = CapabilityWalk.Standard(_image, out string? defect).ToList();
        Remark(defect);
        var extended = CapabilityWalk.Extended(_image, out defect).ToList();
        Remark(defect);
        MsixPlace? msix = Take(standard, CapabilityIds.Msix, capability => ReadMsix(capability, bars));
        MsiPlace? msi = Take(standard, CapabilityIds.Msi, ReadMsi);
        Placed? power = Take(standard, CapabilityIds.PowerManagement, capability => Sized(capability, 8, "power management"));
        Placed? express = Take(standard, CapabilityIds.PciExpress, ReadExpress);
        Placed? advanced = Take(standard, DeviceCapabilityIds.AdvancedFeatures, capability => Sized(capability, 6, "advanced features"));
        _hidden.AddRange(extended.Where(capability => DeviceCapabilityIds.IsHidden(capability.Id)));
        extended.RemoveAll(capability => DeviceCapabilityIds.IsHidden(capability.Id));
        return new DeviceLayout
        {
            Image = _image,
            Identity = ReadIdentity(),
            Pin = ReadPin(),
            Bars = bars,
            Capabilities = standard,
            ExtendedCapabilities = extended,
            Hidden = _hidden,
            Msix = msix,
            Msi = msi,
            PowerManagement = power?.Capability,
            Express = express?.Capability,
            AdvancedFeatures = advanced?.Capability,
            Remarks = _remarks,
        };
    }

    private PciIdentity ReadIdentity()
    {
        return new PciIdentity
        {
            VendorId = Word(ConfigurationRegisters.VendorId),
            DeviceId = Word(ConfigurationRegisters.DeviceId),
            RevisionId = _image[ConfigurationRegisters.RevisionId],
            ClassCode = Dword(ConfigurationRegisters.RevisionId) >> 8,
            SubsystemVendorId = Word(ConfigurationRegisters.SubsystemVendorId),
            SubsystemId = Word(ConfigurationRegisters.SubsystemId),
        };
    }

    private InterruptPin ReadPin()
    {
        var pin = (InterruptPin)_image[ConfigurationRegisters.InterruptPin];
        if (pin > InterruptPin.D)
        {
            Remark($"interrupt pin {(int)pin} does not exist");
            return InterruptPin.None;
        }

        return _interrupts(PciInterruptIndex.Pin).Count > 0 && !_isVirtual ? pin : InterruptPin.None;
    }

    private List<DeviceBar> ReadBars()
    {
        var bars = new List<DeviceBar>();
        for (int index = 0; index < PciBar.RomIndex; index++)
        {
            uint register = Dword(ConfigurationRegisters.Bar0 + (index * 4));
            bool io = (register & 1) != 0;

            // Type 3 is reserved; type 1, below 1 MiB, is an old word for 32-bit.
            bool is64Bit = !io && ((register >> 1) & 3) == 2;
            PciBarKind kind = io ? PciBarKind.Io : is64Bit ? PciBarKind.Memory64 : PciBarKind.Memory32;
            AddBar(bars, new DeviceBar(index, kind, !io && (register & 8) != 0, _regions[index]));
            if (is64Bit)
            {
                // The next register is the upper half, also of a BAR that is not there.
                index++;
            }
        }

        if (_regions[PciBar.RomIndex].CanRead)
        {
            AddBar(bars, new DeviceBar(PciBar.RomIndex, PciBarKind.Rom, false, _regions[PciBar.RomIndex]));
        }

        return bars;
    }

    private void AddBar(List<DeviceBar> bars, DeviceBar bar)
    {
        ulong size = bar.Region.Size;
        if (size == 0)
        {
            return;
        }

        if (_isVirtual && bar.Kind is PciBarKind.Io)
        {
            Remark($"left out BAR {bar.Index}: a virtual function has no I/O");
            return;
        }

        try
        {
            _ = PciBar.OfDevice(bar.Index, bar.Kind, size, [], bar.Prefetchable);
            bars.Add(bar);
        }
        catch (ArgumentException e)
        {
            Remark($"left out {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>Takes what a kind of capability says, of the first one that says something usable; others of the kind are hidden.</summary>
    private T? Take<T>(List<DeviceCapability> list, int id, Func<DeviceCapability, T?> read)
        where T : class
    {
        T? taken = null;
        for (int i = 0; i < list.Count; i++)
        {
            if (list[i].Id != id)
            {
                continue;
            }

            if (taken is null && read(list[i]) is { } usable)
            {
                taken = usable;
                continue;
            }

            _hidden.Add(list[i]);
            list.RemoveAt(i--);
        }

        return taken;
    }

    private MsixPlace? ReadMsix(DeviceCapability capability, List<DeviceBar> bars)
    {
        if (!HasRoom(capability, 12, "MSI-X"))
        {
            return null;
        }

        int count = (Word(capability.Offset + 2) & 0x7ff) + 1;
        uint table = Dword(capability.Offset + 4);
        uint pending = Dword(capability.Offset + 8);
        int signals = _interrupts(PciInterruptIndex.Msix).Count;
        var place = new MsixPlace(capability, count, Math.Min(count, signals), (int)(table & 7), table & ~7u, (int)(pending & 7), pending & ~7u);
        ulong tableLength = (ulong)count * MsixCapability.EntryLength;
        ulong pendingLength = MsixCapability.PendingLength(count);
        string? wrong = signals <= 0 ? "the device has no such interrupts"
            : !Contains(bars, place.TableBar, place.TableOffset, tableLength) ? $"its table does not lie inside memory BAR {place.TableBar}"
            : !Contains(bars, place.PendingBar, place.PendingOffset, pendingLength)
                ? $"its pending bits do not lie inside memory BAR {place.PendingBar}"
            : place.TableBar == place.PendingBar && place.TableOffset < place.PendingOffset + pendingLength
                && place.PendingOffset < place.TableOffset + tableLength ? "its table and its pending bits overlap"
            : null;
        Remark(wrong is null ? null : $"MSI-X is hidden: {wrong}");
        return wrong is null ? place : null;
    }

    private MsiPlace? ReadMsi(DeviceCapability capability)
    {
        if (!HasRoom(capability, 4, "MSI"))
        {
            return null;
        }

        uint control = Word(capability.Offset + 2);
        bool is64Bit = (control & 0x80) != 0;
        bool masking = (control & 0x100) != 0;
        int capable = 1 << (int)Math.Min((control >> 1) & 7, 5);
        int signals = _interrupts(PciInterruptIndex.Msi).Count;
        if (signals <= 0)
        {
            Remark("MSI is hidden: the device has no such interrupts");
            return null;
        }

        int count = 1 << BitOperations.Log2((uint)Math.Min(capable, signals));
        var place = new MsiPlace(capability, count, is64Bit, masking);
        return HasRoom(capability, (is64Bit ? 14 : 10) + (masking ? 10 : 0), "MSI") ? place : null;
    }

    private Placed? ReadExpress(DeviceCapability capability)
    {
        if (Sized(capability, ExpressVersion1Length, "PCI Express") is not { } placed)
        {
            return null;
        }

        uint flags = Word(capability.Offset + 2);
        int length = (flags & 0xf) >= 2 ? ExpressVersion2Length : ExpressVersion1Length;
        var type = (DevicePortType)((flags >> 4) & 0xf);
        if (type is not (DevicePortType.Endpoint or DevicePortType.LegacyEndpoint or DevicePortType.RootComplexIntegratedEndpoint))
        {
            Remark($"PCI Express is hidden: it is of type {(int)type}, which no endpoint is");
            return null;
        }

        return placed with { Capability = capability with { End = Math.Min(capability.End, capability.Offset + length) } };
    }

    private Placed? Sized(DeviceCapability capability, int length, string name) => HasRoom(capability, length, name) ? new Placed(capability) : null;

    private bool HasRoom(DeviceCapability capability, int length, string name)
    {
        bool fits = capability.Room >= length;
        Remark(fits ? null : $"{name} is hidden: it takes {length} bytes at 0x{capability.Offset:x2}, and {capability.Room} are there");
        return fits;
    }

    private static bool Contains(List<DeviceBar> bars, int index, ulong offset, ulong length)
    {
        return bars.Find(bar => bar.Index == index) is { Kind: PciBarKind.Memory32 or PciBarKind.Memory64 } bar
            && GuestRange.Fits(offset, length, bar.Region.Size);
    }

    private void Remark(string? remark)
    {
        if (remark is not null)
        {
            _remarks.Add(remark);
        }
    }

    private ushort Word(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_image.AsSpan(offset));

    private uint Dword(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_image.AsSpan(offset));

    private sealed record Placed(DeviceCapability Capability);
}
