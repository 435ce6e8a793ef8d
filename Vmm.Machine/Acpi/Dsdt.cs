using System;
using System.Globalization;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Devices;
using Vmm.Machine.Layout;
using Vmm.Pci.Interrupts;

namespace Vmm.Machine.Acpi;

/// <summary>The differentiated system description: the PCI host bridge and the platform devices, in machine language.</summary>
internal static class Dsdt
{
    // Native hot-plug, PME and the PCI Express capability (PCI Firmware 3.2, table 4-5). There is no SHPC to control, and no function here
    // has an AER capability.
    private const uint GrantedControl = (1 << 0) | (1 << 2) | (1 << 4);

    private static readonly Guid HostBridgeUuid = new("33DB4D5B-1FF7-401C-9657-7441C03DD766");

    /// <summary>The body that follows the table's header.</summary>
    public static byte[] Create(AcpiOptions options)
    {
        var aml = new AmlBuilder();
        using (aml.Scope("_SB"))
        {
            WriteHostBridge(aml, options);
            WriteMotherboard(aml);
            if (options.HasSerialPort)
            {
                WriteDevice(aml, "COM1", "PNP0501", new ResourceTemplate().Ports(IsaDevices.SerialPort, 8).EdgeInterrupt(IsaDevices.SerialGsi));
            }

            WriteDevice(aml, "RTC", "PNP0B00", new ResourceTemplate().Ports(IsaDevices.RealTimeClock, 2).EdgeInterrupt(IsaDevices.RealTimeClockGsi));
        }

        aml.Name("_S5");
        using (aml.Package(4))
        {
            aml.Integer(PowerRegisters.SleepTypeOff).Integer(PowerRegisters.SleepTypeOff).Integer(0).Integer(0);
        }

        return aml.ToArray();
    }

    private static void WriteHostBridge(AmlBuilder aml, AcpiOptions options)
    {
        MemoryLayout layout = options.Layout;
        using (aml.Device("PCI0"))
        {
            aml.Name("_HID").EisaId("PNP0A08");
            aml.Name("_CID").EisaId("PNP0A03");
            aml.Name("_SEG").Integer(0);
            aml.Name("_BBN").Integer(0);
            aml.Name("_UID").Integer(0);
            ResourceTemplate resources = new ResourceTemplate()
                .BusWindow(0, MemoryLayout.EcamBuses)
                .Ports(0xCF8, 8)
                .PortWindow(MemoryLayout.PciPortStart, MemoryLayout.PciPortLength)
                .MemoryWindow32((uint)MemoryLayout.Pci32Start, (uint)MemoryLayout.Pci32Length);
            foreach (GuestRange window in layout.Pci64Windows)
            {
                resources.MemoryWindow64(window.Address, window.Length);
            }

            aml.Name("_CRS").Buffer(resources.ToArray());
            WriteInterruptRouting(aml, options);
            WriteControlMethod(aml);
            foreach (int slot in options.RootPortSlots)
            {
                WriteRootPort(aml, slot, options);
            }
        }
    }

    private static void WriteInterruptRouting(AmlBuilder aml, AcpiOptions options)
    {
        aml.Name("_PRT");
        using (aml.Package(options.PciSlots * 4))
        {
            for (int slot = 0; slot < options.PciSlots; slot++)
            {
                for (int pin = 0; pin < 4; pin++)
                {
                    WriteRoute(aml, slot, pin, options.PciInterrupt(slot, pin));
                }
            }
        }
    }

    /// <summary>A root port: where it is, and how the pins of the one device behind it become its own.</summary>
    private static void WriteRootPort(AmlBuilder aml, int slot, AcpiOptions options)
    {
        using (aml.Device(string.Create(CultureInfo.InvariantCulture, $"S{slot:D2}")))
        {
            aml.Name("_ADR").Integer((ulong)slot << 16);
            aml.Name("_PRT");
            using (aml.Package(4))
            {
                for (int pin = 0; pin < 4; pin++)
                {
                    InterruptPin above = PciInterruptRouting.Swizzle(0, InterruptPin.A + pin);
                    WriteRoute(aml, 0, pin, (options.PortInterrupt ?? options.PciInterrupt)(slot, above - InterruptPin.A));
                }
            }
        }
    }

    /// <summary>A row of a _PRT: the pin of a slot, all its functions, and its GSI (ACPI 6.4, 6.2.13).</summary>
    private static void WriteRoute(AmlBuilder aml, int slot, int pin, int gsi)
    {
        using (aml.Package(4))
        {
            aml.Integer(((ulong)slot << 16) | 0xFFFF).Integer((ulong)pin).Integer(0).Integer((ulong)gsi);
        }
    }

    /// <summary>_OSC: says which of the features that the operating system asks for it may run natively (ACPI 6.4, 6.2.11.3).</summary>
    private static void WriteControlMethod(AmlBuilder aml)
    {
        const int UnrecognisedUuid = 1 << 2;
        const int UnrecognisedRevision = 1 << 3;
        const int CapabilitiesMasked = 1 << 4;
        using (aml.Method("_OSC", 4, serialized: true))
        {
            aml.CreateDWordField().Argument(3).Integer(0).NamePath("CDW1");
            using (aml.If())
            {
                aml.IsEqual().Argument(0).Uuid(HostBridgeUuid);
                aml.CreateDWordField().Argument(3).Integer(8).NamePath("CDW3");
                aml.And().NamePath("CDW3").Integer(GrantedControl).Local(0);
                using (aml.If())
                {
                    aml.IsNotEqual().Argument(1).Integer(1);
                    aml.Or().NamePath("CDW1").Integer(UnrecognisedRevision).NamePath("CDW1");
                }

                using (aml.If())
                {
                    aml.IsNotEqual().NamePath("CDW3").Local(0);
                    aml.Or().NamePath("CDW1").Integer(CapabilitiesMasked).NamePath("CDW1");
                }

                aml.Store().Local(0).NamePath("CDW3");
            }

            using (aml.Else())
            {
                aml.Or().NamePath("CDW1").Integer(UnrecognisedUuid).NamePath("CDW1");
            }

            aml.Return().Argument(3);
        }
    }

    /// <summary>What nothing else may be put over: Linux uses ECAM only where it is reserved like this.</summary>
    private static void WriteMotherboard(AmlBuilder aml)
    {
        WriteDevice(
            aml,
            "MBRD",
            "PNP0C02",
            new ResourceTemplate()
                .Memory32((uint)MemoryLayout.EcamStart, (uint)MemoryLayout.EcamLength)
                .Ports(PowerRegisters.BasePort, PowerRegisters.Length));
    }

    private static void WriteDevice(AmlBuilder aml, string name, string id, ResourceTemplate resources)
    {
        using (aml.Device(name))
        {
            aml.Name("_HID").EisaId(id);
            aml.Name("_UID").Integer(0);
            aml.Name("_STA").Integer(0xF);
            aml.Name("_CRS").Buffer(resources.ToArray());
        }
    }
}
