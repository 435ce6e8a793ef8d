using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using Vmm.Machine.Acpi;
using Vmm.Machine.Layout;

namespace Vmm.Tests.Machine;

/// <summary>The tables by ACPI 6.4, section 5, read back as an operating system does: from the RSDP down.</summary>
public sealed class AcpiTablesTests
{
    private const ulong Base = MemoryLayout.AcpiTables;

    [Theory]
    [InlineData(1, 256)]
    [InlineData(4, 5120)]
    [InlineData(254, 5120)]
    public void Every_table_is_found_and_its_checksum_holds(int cpus, int mebibytes)
    {
        byte[] image = Create(cpus, mebibytes);
        Encoding.ASCII.GetString(image, 0, 8).Should().Be("RSD PTR ");
        image[15].Should().Be(2);
        Sum(image.AsSpan(0, 20)).Should().Be(0);
        Sum(image.AsSpan(0, 36)).Should().Be(0);
        Dictionary<string, byte[]> tables = Tables(image);
        tables.Keys.Should().BeEquivalentTo("XSDT", "FACP", "APIC", "MCFG", "DSDT", "FACS");
        foreach ((string name, byte[] table) in tables)
        {
            if (name != "FACS")
            {
                Sum(table).Should().Be(0, "{0}", name);
            }
        }

        image.Length.Should().BeLessThanOrEqualTo((int)(MemoryLayout.HighMemory - Base));
    }

    [Fact]
    public void The_FADT_names_the_registers_that_exist()
    {
        byte[] fadt = Tables(Create(1, 256))["FACP"];
        fadt.Should().HaveCount(276);
        U32(fadt, 56).Should().Be(0x600);
        U32(fadt, 64).Should().Be(0x604);
        U32(fadt, 76).Should().Be(0x608);
        U32(fadt, 48).Should().Be(0, "there is no SMI command port: ACPI mode is on already");
        BinaryPrimitives.ReadUInt16LittleEndian(fadt.AsSpan(46)).Should().Be(9, "SCI_INT, as the MADT has it");
        (U32(fadt, 112) & (1u << 4)).Should().Be(0, "PWR_BUTTON clear: the power button is fixed hardware");
        (U32(fadt, 112) & (1u << 5)).Should().NotBe(0, "SLP_BUTTON set and no such device: there is no sleep button");
        (U32(fadt, 112) & (1u << 10)).Should().NotBe(0, "the reset register is there");
        fadt[116].Should().Be(1, "it is a port");
        BinaryPrimitives.ReadUInt64LittleEndian(fadt.AsSpan(120)).Should().Be(0x60C);
        fadt[128].Should().Be(1);
        (U32(fadt, 112) & (1u << 20)).Should().Be(0, "this is not the reduced hardware model");
        (BinaryPrimitives.ReadUInt16LittleEndian(fadt.AsSpan(109)) & 2).Should().Be(0, "there is no keyboard controller");
    }

    [Fact]
    public void The_MADT_lists_every_processor_and_the_IO_APIC()
    {
        byte[] madt = Tables(Create(4, 256))["APIC"];
        var entries = new List<byte[]>();
        for (int at = 44; at < madt.Length; at += madt[at + 1])
        {
            entries.Add(madt.AsSpan(at, madt[at + 1]).ToArray());
        }

        entries.Where(e => e[0] == 0).Select(e => e[3]).Should().Equal(0, 1, 2, 3);
        entries.Where(e => e[0] == 0).Should().OnlyContain(e => (e[4] & 1) == 1, "all are enabled");
        byte[] ioApic = entries.Should().ContainSingle(e => e[0] == 1).Subject;
        U32(ioApic, 4).Should().Be(0xFEC0_0000);
        byte[] sci = entries.Should().ContainSingle(e => e[0] == 2).Subject;
        sci[3].Should().Be(9);
        sci[8].Should().Be(0xD, "level-triggered, active high");
        entries.Should().ContainSingle(e => e[0] == 4);
    }

    [Fact]
    public void The_MCFG_covers_all_buses()
    {
        byte[] mcfg = Tables(Create(1, 256))["MCFG"];
        mcfg.Should().HaveCount(60);
        BinaryPrimitives.ReadUInt64LittleEndian(mcfg.AsSpan(44)).Should().Be(MemoryLayout.EcamStart);
        mcfg[54].Should().Be(0);
        mcfg[55].Should().Be(255);
    }

    [Theory]
    [InlineData(256, 36)]
    [InlineData(5120, 40)]
    [InlineData(16384, 48)]
    [InlineData(2097152, 48)]
    public void The_bridge_names_the_windows_that_it_forwards(int mebibytes, int bits)
    {
        var layout = MemoryLayout.Create((ulong)mebibytes << 20, bits);
        byte[] dsdt = Tables(Create(1, mebibytes, bits: bits))["DSDT"];

        // QWord address space descriptors of memory (ACPI 6.4, 6.4.3.5.1): granularity, first and last address, translation, length.
        var described = new List<(ulong First, ulong Last, ulong Length)>();
        for (int at = 0; at + 46 <= dsdt.Length; at++)
        {
            if (dsdt.AsSpan(at, 5).SequenceEqual<byte>([0x8A, 0x2B, 0x00, 0x00, 0x0C]))
            {
                described.Add((U64(dsdt, at + 14), U64(dsdt, at + 22), U64(dsdt, at + 38)));
            }
        }

        described.Should().Equal(layout.CreatePciWindows().Where(window => window.Base >= MemoryLayout.HoleEnd)
            .Select(window => (window.Base, window.Last, window.Last - window.Base + 1)));
        described.Should().HaveCount(bits > 40 && mebibytes < 1 << 20 ? 2 : 1);
    }

    [IaslTheory]
    [InlineData(1, 256, true)]
    [InlineData(4, 5120, true)]
    [InlineData(1, 3072, false)]
    public void The_machine_language_disassembles_and_compiles_again_without_a_warning(int cpus, int mebibytes, bool serial)
    {
        byte[] dsdt = Tables(Create(cpus, mebibytes, serial))["DSDT"];
        DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-acpi");
        try
        {
            string path = Path.Combine(folder.FullName, "dsdt");
            File.WriteAllBytes(path + ".aml", dsdt);
            (int status, string output) = Run("-d", path + ".aml");
            status.Should().Be(0, output);
            string source = File.ReadAllText(path + ".dsl");
            (status, output) = Run("-we", path + ".dsl");
            status.Should().Be(0, output + source);
            output.Should().Contain("0 Errors, 0 Warnings");

            source.Should().Contain("Device (S03)").And.Contain("Device (S17)");
            source.Should().Contain("PNP0A08").And.Contain("_PRT").And.Contain("_OSC").And.Contain("_S5").And.Contain("PNP0B00");
            (source.Contains("PNP0501", StringComparison.Ordinal)).Should().Be(serial);
            byte[] again = File.ReadAllBytes(path + ".aml");
            again.AsSpan(36).SequenceEqual(dsdt.AsSpan(36)).Should().BeTrue("compiling what was disassembled gives the same bytes");
        }
        finally
        {
            folder.Delete(true);
        }
    }

    [Fact]
    [Trait("Behaviour", "PCI-9")]
    public void The_routing_table_holds_every_pin_of_every_slot_as_it_is_wired()
    {
        byte[] dsdt = Tables(Create(1, 256))["DSDT"];
        for (int slot = 1; slot < 32; slot++)
        {
            for (int pin = 1; pin < 4; pin++)
            {
                // Package (4) { 0x00ssFFFF, pin, 0, gsi }
                byte[] row = [0x0C, 0xFF, 0xFF, (byte)slot, 0x00, .. Integer(pin), 0x00, 0x0A, (byte)(16 + ((slot + pin) % 4))];
                dsdt.AsSpan().IndexOf(row).Should().BePositive("slot {0} pin {1}", slot, pin);
            }
        }
    }

    [Fact]
    [Trait("Behaviour", "PCI-12")]
    [Trait("Behaviour", "PCI-9")]
    public void A_root_port_is_described_with_the_pins_of_what_is_behind_it_as_they_are_wired()
    {
        byte[] dsdt = Tables(Create(1, 256))["DSDT"];
        foreach (int slot in Ports)
        {
            // Name (_ADR, slot << 16), Name (_PRT, Package (4) { ... }): device 0 behind the port, its pins are the port's.
            byte[] head = [0x08, .. "_ADR"u8, 0x0C, 0x00, 0x00, (byte)slot, 0x00, 0x08, .. "_PRT"u8, 0x12];
            int at = dsdt.AsSpan().IndexOf(head);
            at.Should().BePositive("slot {0}", slot);
            Span<byte> rows = dsdt.AsSpan(at, 80);
            for (int pin = 0; pin < 4; pin++)
            {
                byte[] row = [0x0B, 0xFF, 0xFF, .. Integer(pin), 0x00, 0x0A, (byte)(20 + ((slot + pin) % 4))];
                rows.IndexOf(row).Should().BePositive("slot {0} pin {1}", slot, pin);
            }
        }
    }

    [Fact]
    [Trait("Behaviour", "PCI-12")]
    public void The_operating_system_is_given_native_hot_plug_PME_and_the_capability_and_nothing_else()
    {
        byte[] dsdt = Tables(Create(1, 256))["DSDT"];

        // And (CDW3, 0x15, Local0): bits 0, 2 and 4 (PCI Firmware 3.2, table 4-5).
        byte[] granted = [0x7B, .. "CDW3"u8, 0x0A, 0x15, 0x60];
        dsdt.AsSpan().IndexOf(granted).Should().BePositive();
    }

    private static readonly int[] Ports = [3, 17];

    private static byte[] Integer(int value) => value < 2 ? [(byte)value] : [0x0A, (byte)value];

    private static byte[] Create(int cpus, int mebibytes, bool serial = true, int bits = 40)
    {
        return AcpiTables.Create(new AcpiOptions
        {
            Layout = MemoryLayout.Create((ulong)mebibytes << 20, bits),
            CpuCount = cpus,
            HasSerialPort = serial,
            RootPortSlots = Ports,
            PciInterrupt = static (slot, pin) => 16 + ((slot + pin) % 4),
            PortInterrupt = static (slot, pin) => 20 + ((slot + pin) % 4),
        });
    }

    private static Dictionary<string, byte[]> Tables(byte[] image)
    {
        var tables = new Dictionary<string, byte[]>();
        byte[] xsdt = Table(image, BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(24)));
        tables["XSDT"] = xsdt;
        for (int at = 36; at < xsdt.Length; at += 8)
        {
            byte[] table = Table(image, BinaryPrimitives.ReadUInt64LittleEndian(xsdt.AsSpan(at)));
            tables[Encoding.ASCII.GetString(table, 0, 4)] = table;
        }

        tables["DSDT"] = Table(image, BinaryPrimitives.ReadUInt64LittleEndian(tables["FACP"].AsSpan(140)));
        tables["FACS"] = Table(image, U32(tables["FACP"], 36));
        return tables;
    }

    private static byte[] Table(byte[] image, ulong address)
    {
        int offset = (int)(address - Base);
        return image.AsSpan(offset, BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(offset + 4))).ToArray();
    }

    private static uint U32(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset));

    private static ulong U64(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(offset));

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes)
        {
            sum += b;
        }

        return sum;
    }

    private static (int Status, string Output) Run(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(IaslTheoryAttribute.Program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string error = "";
        process.ErrorDataReceived += (_, line) => error += line.Data + "\n";
        process.BeginErrorReadLine();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error);
    }
}
