using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Boot;
using Vmm.Machine.Devices;
using Vmm.Machine.Layout;

namespace Vmm.Machine.Acpi;

/// <summary>The ACPI tables of a machine (ACPI 6.4, section 5): RSDP, XSDT, FADT, FACS, DSDT, MADT and MCFG.</summary>
public static class AcpiTables
{
    private const int HeaderLength = 36;
    private const int Alignment = 64;

    /// <summary>Writes the tables to <see cref="MemoryLayout.AcpiTables"/>.</summary>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="options">What to describe.</param>
    /// <returns>Guest-physical address of the RSDP.</returns>
    public static ulong Write(GuestMemory memory, AcpiOptions options)
    {
        ArgumentNullException.ThrowIfNull(memory);
        GuestLoader.Write(memory, MemoryLayout.AcpiTables, Create(options));
        return MemoryLayout.AcpiTables;
    }

    /// <summary>All tables as one image for <see cref="MemoryLayout.AcpiTables"/>; the RSDP comes first.</summary>
    /// <param name="options">What to describe.</param>
    public static byte[] Create(AcpiOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.CpuCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.CpuCount, MachineLimits.Cpus);
        ArgumentOutOfRangeException.ThrowIfNegative(options.PciSlots);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.PciSlots, 32);

        var image = new List<byte>(new byte[Alignment]);
        uint facs = Append(image, CreateFacs());
        uint dsdt = Append(image, Table("DSDT", 2, Dsdt.Create(options)));
        uint fadt = Append(image, CreateFadt(facs, dsdt));
        uint madt = Append(image, CreateMadt(options.CpuCount));
        uint mcfg = Append(image, CreateMcfg());
        byte[] entries = new byte[3 * 8];
        BinaryPrimitives.WriteUInt64LittleEndian(entries, fadt);
        BinaryPrimitives.WriteUInt64LittleEndian(entries.AsSpan(8), madt);
        BinaryPrimitives.WriteUInt64LittleEndian(entries.AsSpan(16), mcfg);
        uint xsdt = Append(image, Table("XSDT", 1, entries));

        byte[] all = [.. image];
        CreateRootPointer(xsdt).CopyTo(all, 0);
        if ((ulong)all.Length > MemoryLayout.HighMemory - MemoryLayout.AcpiTables)
        {
            throw new InvalidOperationException($"the ACPI tables take {all.Length} bytes");
        }

        return all;
    }

    private static uint Append(List<byte> image, byte[] table)
    {
        uint address = (uint)MemoryLayout.AcpiTables + (uint)image.Count;
        image.AddRange(table);
        image.AddRange(new byte[(Alignment - (image.Count % Alignment)) % Alignment]);
        return address;
    }

    private static byte[] CreateRootPointer(uint xsdt)
    {
        byte[] rsdp = new byte[36];
        "RSD PTR "u8.CopyTo(rsdp);
        "VMMDEV"u8.CopyTo(rsdp.AsSpan(9));
        rsdp[15] = 2;
        BinaryPrimitives.WriteInt32LittleEndian(rsdp.AsSpan(20), rsdp.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(rsdp.AsSpan(24), xsdt);
        rsdp[8] = Checksum(rsdp.AsSpan(0, 20));
        rsdp[32] = Checksum(rsdp);
        return rsdp;
    }

    private static byte[] CreateFacs()
    {
        byte[] facs = new byte[64];
        "FACS"u8.CopyTo(facs);
        facs[4] = 64;
        facs[32] = 2;
        return facs;
    }

    private static byte[] CreateFadt(uint facs, uint dsdt)
    {
        const int Length = 276;
        const byte CenturyRegister = 0x32;
        const ushort LegacyDevices = 1 << 0;
        const ushort NoVga = 1 << 2;
        const uint Flags = (1 << 0)                             // WBINVD works
            | (1 << 2)                                          // C1 on every processor
            | (1 << 5)                                          // no fixed sleep button; bit 4 clear: the power button is fixed hardware
            | (1 << 6)                                          // no fixed RTC wake-up
            | (1 << 8)                                          // the PM timer has 32 bits
            | (1 << 10);                                        // the reset register works
        byte[] table = new byte[Length];
        void U16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(offset), value);
        void U32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(offset), value);
        void U64(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan(offset), value);
        void Port(int offset, byte bits, byte accessSize, ushort port)
        {
            table[offset] = 1;                                  // system I/O
            table[offset + 1] = bits;
            table[offset + 3] = accessSize;
            U64(offset + 4, port);
        }

        const ushort EventPort = PowerRegisters.BasePort + PowerRegisters.EventOffset;
        const ushort ControlPort = PowerRegisters.BasePort + PowerRegisters.ControlOffset;
        const ushort TimerPort = PowerRegisters.BasePort + PowerRegisters.TimerOffset;
        U32(36, facs);
        U32(40, dsdt);
        U16(46, IsaDevices.AcpiGsi);
        U32(56, EventPort);
        U32(64, ControlPort);
        U32(76, TimerPort);
        table[88] = 4;                                          // PM1_EVT_LEN
        table[89] = 2;                                          // PM1_CNT_LEN
        table[91] = 4;                                          // PM_TMR_LEN
        U16(96, 0xFFF);                                         // no C2
        U16(98, 0xFFF);                                         // no C3
        table[108] = CenturyRegister;
        U16(109, LegacyDevices | NoVga);
        U32(112, Flags);
        Port(116, 8, 1, PowerRegisters.BasePort + PowerRegisters.ResetOffset);
        table[128] = PowerRegisters.ResetValue;
        table[131] = 4;                                         // 6.4
        U64(140, dsdt);
        Port(148, 32, 2, EventPort);
        Port(172, 16, 2, ControlPort);
        Port(208, 32, 3, TimerPort);
        "VmmDevic"u8.CopyTo(table.AsSpan(268));
        return Table("FACP", 6, table.AsSpan(HeaderLength));
    }

    private static byte[] CreateMadt(int cpuCount)
    {
        const int LevelActiveHigh = 0xD;
        var body = new List<byte>();
        void U16(ushort value) => body.AddRange([(byte)value, (byte)(value >> 8)]);
        void U32(uint value)
        {
            U16((ushort)value);
            U16((ushort)(value >> 16));
        }

        void Override(byte source, uint gsi, ushort flags)
        {
            body.AddRange([2, 10, 0, source]);
            U32(gsi);
            U16(flags);
        }

        U32((uint)MemoryLayout.LocalApic);
        U32(1);                                                 // 8259 interrupt controllers are there too
        for (int i = 0; i < cpuCount; i++)
        {
            body.AddRange([0, 8, (byte)i, (byte)i]);
            U32(1);
        }

        body.AddRange([1, 12, 0, 0]);
        U32((uint)MemoryLayout.IoApic);
        U32(0);

        // KVM wires every GSI to the pin of the same number, the timer too: no override for IRQ 0.
        Override(IsaDevices.AcpiGsi, IsaDevices.AcpiGsi, LevelActiveHigh);
        body.AddRange([4, 6, 0xFF, 0, 0, 1]);                   // NMI at LINT1 of every processor
        return Table("APIC", 5, [.. body]);
    }

    private static byte[] CreateMcfg()
    {
        byte[] body = new byte[8 + 16];
        BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(8), MemoryLayout.EcamStart);
        body[19] = MemoryLayout.EcamBuses - 1;
        return Table("MCFG", 1, body);
    }

    private static byte[] Table(string signature, byte revision, ReadOnlySpan<byte> body)
    {
        byte[] table = new byte[HeaderLength + body.Length];
        Encoding.ASCII.GetBytes(signature).CopyTo(table, 0);
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(4), table.Length);
        table[8] = revision;
        "VMMDEV"u8.CopyTo(table.AsSpan(10));
        "MACHINE "u8.CopyTo(table.AsSpan(16));
        table[24] = 1;
        "VMMD"u8.CopyTo(table.AsSpan(28));
        table[32] = 1;
        body.CopyTo(table.AsSpan(HeaderLength));
        table[9] = Checksum(table);
        return table;
    }

    /// <summary>The byte that makes the sum of all bytes zero.</summary>
    private static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes)
        {
            sum += b;
        }

        return (byte)-sum;
    }
}
