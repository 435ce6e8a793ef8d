using Vmm.Conformance.Driving;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>Power states and function-level reset (PCI Power Management 1.2, chapter 3 and 5; PCI Express Base, 6.6.2).</summary>
internal static class PowerChecks
{
    private const uint HotOff = 3;
    private const uint InitiateReset = 1u << 15;
    private const Need Decodes = Need.PowerManagement | Need.Virtio | Need.Decoding;

    public static CheckGroup Group { get; } = new("power states and function reset", "PCI Power Management 1.2")
    {
        { "PCI-POWER-READ-BACK", "3.2.4", "The power state reads back D3hot and D0 as they are written", ReadBack, Need.PowerManagement },
        { "PCI-POWER-CAPABILITIES", "3.2.3", "The capabilities word is read-only and its version is assigned", Capabilities, Need.PowerManagement },
        { "PCI-POWER-OFF", "5.4", "In D3hot memory BARs do not answer and configuration space does", Off, Decodes },
        { "PCI-POWER-ON", "5.4", "Back in D0 the function works", On, Decodes },
        { "PCI-FLR-CLEARS", "PCI Express Base 6.6.2", "A function-level reset clears Command and the device", FunctionReset, Need.FunctionReset | Need.Virtio },
        { "PCI-FLR-READ", "PCI Express Base 7.5.3.4", "Initiate Function Level Reset reads as zero", FunctionResetReads, Need.FunctionReset },
    };

    private static void ReadBack(CheckContext check)
    {
        foreach (uint state in (uint[])[HotOff, 0])
        {
            SetState(check, state);
            check.Equal("power state", state, GetState(check));
        }
    }

    private static void Capabilities(CheckContext check)
    {
        int at = At(check);
        check.ReadOnly(at + 2, 2);
        uint version = check.Access.ReadConfiguration(at + 2, 2) & 7;
        check.Require(version is >= 1 and <= 3, "version 1 to 3", CheckContext.Hex(version));
    }

    private static void Off(CheckContext check)
    {
        var driver = new RawDriver(check);
        uint vendor = check.Access.ReadConfiguration(Reg.VendorId, 2);
        ulong queues = driver.Get(Offset.NumQueues, 2);
        SetState(check, HotOff);
        check.Equal("vendor id in D3hot", vendor, check.Access.ReadConfiguration(Reg.VendorId, 2));
        check.Require(driver.Get(Offset.NumQueues, 2) != queues, "no answer from num_queues in D3hot", $"{queues}");
    }

    private static void On(CheckContext check)
    {
        var driver = new RawDriver(check);
        uint[] bars = [.. ReadBars(check)];
        ulong queues = driver.Get(Offset.NumQueues, 2);
        SetState(check, HotOff);
        SetState(check, 0);
        for (int i = 0; i < bars.Length; i++)
        {
            check.Access.WriteConfiguration(Reg.Bar0 + (4 * i), 4, bars[i]);
        }

        uint command = check.Access.ReadConfiguration(Reg.Command, 2);
        check.Access.WriteConfiguration(Reg.Command, 2, command | (uint)PciCommand.MemorySpace);
        check.Equal("num_queues back in D0", queues, driver.Get(Offset.NumQueues, 2));
        driver.Negotiate();
    }

    private static void FunctionReset(CheckContext check)
    {
        var driver = new RawDriver(check);
        uint[] bars = [.. ReadBars(check)];
        driver.Negotiate();
        driver.SetBusMaster(true);
        StartReset(check);
        check.Await(
            () => check.Access.ReadConfiguration(Reg.VendorId, 2) == VirtioPciIds.Vendor, "the vendor id after the reset", () => "another value");
        check.Equal(
            "Command after the reset", 0, check.Access.ReadConfiguration(Reg.Command, 2) & (uint)(PciCommand.MemorySpace | PciCommand.BusMaster));
        for (int i = 0; i < bars.Length; i++)
        {
            check.Access.WriteConfiguration(Reg.Bar0 + (4 * i), 4, bars[i]);
        }

        check.Access.WriteConfiguration(Reg.Command, 2, (uint)PciCommand.MemorySpace);
        check.Await(() => driver.Status == DeviceStatus.None, "device_status = 0 after the reset", () => $"{driver.Status}");
    }

    private static void FunctionResetReads(CheckContext check)
    {
        StartReset(check);
        int at = check.Facts.Find(CapabilityIds.PciExpress);
        check.Await(() => (check.Access.ReadConfiguration(at + 8, 2) & InitiateReset) == 0, "Initiate Function Level Reset = 0", () => "1");
    }

    private static void StartReset(CheckContext check)
    {
        int control = check.Facts.Find(CapabilityIds.PciExpress) + 8;
        check.Access.WriteConfiguration(control, 2, check.Access.ReadConfiguration(control, 2) | InitiateReset);
    }

    private static System.Collections.Generic.IEnumerable<uint> ReadBars(CheckContext check)
    {
        for (int i = 0; i < 6; i++)
        {
            yield return check.Access.ReadConfiguration(Reg.Bar0 + (4 * i), 4);
        }
    }

    private static int At(CheckContext check) => check.Facts.Find(CapabilityIds.PowerManagement);

    private static uint GetState(CheckContext check) => check.Access.ReadConfiguration(At(check) + 4, 2) & 3;

    private static void SetState(CheckContext check, uint state)
    {
        check.Access.WriteConfiguration(At(check) + 4, 2, state);
        if (state == 0)
        {
            check.Settle();
        }
    }
}
