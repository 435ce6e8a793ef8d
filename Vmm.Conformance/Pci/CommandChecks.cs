using Vmm.Pci.ConfigSpace;
using static Vmm.Conformance.CheckContext;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>Command and Status (PCI 3.0, 6.2.2 and 6.2.3).</summary>
internal static class CommandChecks
{
    private const uint Memory = (uint)PciCommand.MemorySpace;
    private const uint Master = (uint)PciCommand.BusMaster;
    private const uint NoPin = (uint)PciCommand.InterruptDisable;
    private const uint ReservedCommand = 0xf880;
    private const uint ReservedStatus = 0x0046;
    private const uint Errors = (uint)(PciStatus.MasterDataParityError | PciStatus.SignaledTargetAbort | PciStatus.ReceivedTargetAbort
        | PciStatus.ReceivedMasterAbort | PciStatus.SignaledSystemError | PciStatus.DetectedParityError);

    public static CheckGroup Group { get; } = new("PCI command and status", "PCI 3.0")
    {
        { "PCI-COMMAND-POWER-ON", "6.2.2", "After power-on the function masters nothing and its pin is not disabled", PowerOn, Need.PowerOn },
        { "PCI-COMMAND-MEMORY", "6.2.2", "Memory Space reads back as it is written, if there is a memory BAR", MemorySpace, Need.MemoryBar },
        { "PCI-COMMAND-MASTER", "6.2.2", "Bus Master reads back as it is written", BusMaster },
        { "PCI-COMMAND-INTERRUPT", "6.2.2", "Interrupt Disable reads back as it is written, if there is a pin", InterruptDisable, Need.Pin },
        { "PCI-COMMAND-RESERVED", "6.2.2", "Reserved bits of Command read as zero, whatever is written", ReservedBits },
        { "PCI-COMMAND-BYTES", "3.2.2.3", "A write of one byte of Command leaves the other byte alone", Bytes, Need.Pin | Need.MemoryBar },
        { "PCI-STATUS-RESERVED", "6.2.3", "Reserved bits of Status read as zero, whatever is written", StatusReserved },
        { "PCI-STATUS-READ-ONLY", "6.2.3", "Bits of Status that report no event are read-only", StatusReadOnly },
        { "PCI-STATUS-CLEAR", "6.2.3", "Error bits of Status are clear after ones are written to them, and nothing sets them", StatusClear },
        { "PCI-STATUS-BYTE", "6.2.3", "A write of the upper byte of Status clears its error bits and changes nothing else", StatusByte },
        { "PCI-STATUS-DWORD", "3.2.2.3", "A 4-byte write of Command with zeroes for Status leaves Status alone", StatusDword },
        { "PCI-STATUS-LIST", "6.2.3", "Capabilities List is set exactly if the capability pointer points somewhere", StatusList },
    };

    private static void PowerOn(CheckContext check) =>
        check.Equal("Command, mastering and Interrupt Disable", 0, check.InitialCommand & (Master | NoPin));

    private static void MemorySpace(CheckContext check) => ReadsBack(check, Memory);

    private static void BusMaster(CheckContext check) => ReadsBack(check, Master);

    private static void InterruptDisable(CheckContext check) => ReadsBack(check, NoPin);

    private static void ReservedBits(CheckContext check)
    {
        uint before = check.Access.ReadConfiguration(Reg.Command, 2);
        check.Access.WriteConfiguration(Reg.Command, 2, before | ReservedCommand);
        check.Equal("reserved bits of Command", 0, check.Access.ReadConfiguration(Reg.Command, 2) & ReservedCommand);
    }

    private static void Bytes(CheckContext check)
    {
        check.Access.WriteConfiguration(Reg.Command, 2, Memory | NoPin);
        check.Access.WriteConfiguration(Reg.Command, 1, 0);
        check.Equal("Command after its low byte was cleared", NoPin, check.Access.ReadConfiguration(Reg.Command, 2) & (Memory | NoPin));
        check.Access.WriteConfiguration(Reg.Command, 2, Memory | NoPin);
        check.Access.WriteConfiguration(Reg.Command + 1, 1, 0);
        check.Equal("Command after its high byte was cleared", Memory, check.Access.ReadConfiguration(Reg.Command, 2) & (Memory | NoPin));
    }

    private static void StatusReserved(CheckContext check)
    {
        check.Access.WriteConfiguration(Reg.Status, 2, ReservedStatus);
        check.Equal("reserved bits of Status", 0, check.Access.ReadConfiguration(Reg.Status, 2) & ReservedStatus);
    }

    private static void StatusReadOnly(CheckContext check)
    {
        uint before = check.Access.ReadConfiguration(Reg.Status, 2) & ~Errors;
        foreach (uint value in (uint[])[0, 0xffff])
        {
            check.Access.WriteConfiguration(Reg.Status, 2, value);
            check.Equal($"Status after {Hex(value)} was written", before, check.Access.ReadConfiguration(Reg.Status, 2) & ~Errors);
        }
    }

    private static void StatusClear(CheckContext check)
    {
        check.Access.WriteConfiguration(Reg.Status, 2, 0xffff);
        check.Equal("error bits after they were cleared", 0, check.Access.ReadConfiguration(Reg.Status, 2) & Errors);
        check.Access.WriteConfiguration(Reg.Status, 2, 0xffff);
        check.Equal("error bits after a second write of ones", 0, check.Access.ReadConfiguration(Reg.Status, 2) & Errors);
    }

    private static void StatusByte(CheckContext check)
    {
        uint command = check.Access.ReadConfiguration(Reg.Command, 2);
        uint before = check.Access.ReadConfiguration(Reg.Status, 2) & ~Errors;
        check.Access.WriteConfiguration(Reg.Status + 1, 1, 0xff);
        check.Equal("Status", before, check.Access.ReadConfiguration(Reg.Status, 2));
        check.Equal("Command", command, check.Access.ReadConfiguration(Reg.Command, 2));
    }

    private static void StatusDword(CheckContext check)
    {
        uint command = check.Access.ReadConfiguration(Reg.Command, 2);
        uint status = check.Access.ReadConfiguration(Reg.Status, 2);
        check.Access.WriteConfiguration(Reg.Command, 4, command);
        check.Equal("Status", status, check.Access.ReadConfiguration(Reg.Status, 2));
    }

    private static void StatusList(CheckContext check)
    {
        bool list = (check.Access.ReadConfiguration(Reg.Status, 2) & (uint)PciStatus.CapabilitiesList) != 0;
        uint pointer = check.Access.ReadConfiguration(Reg.CapabilitiesPointer, 1);
        check.Require(
            list == (pointer != 0), pointer != 0 ? "Capabilities List set" : "Capabilities List clear",
            $"{(list ? "set" : "clear")}, pointer {Hex(pointer)}");
    }

    private static void ReadsBack(CheckContext check, uint bit)
    {
        uint before = check.Access.ReadConfiguration(Reg.Command, 2);
        foreach (uint value in (uint[])[before | bit, before & ~bit])
        {
            check.Access.WriteConfiguration(Reg.Command, 2, value);
            check.Equal("Command", value, check.Access.ReadConfiguration(Reg.Command, 2));
        }
    }
}
