using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm.Interop;

namespace Vmm.Tests.Kvm;

/// <summary>A kernel that writes down what it is asked and refuses what it is told to refuse.</summary>
internal sealed unsafe class FakeVmCalls : IVmCalls
{
    private readonly object _lock = new();

    /// <summary>What was asked, one line each.</summary>
    public List<string> Log { get; } = [];

    /// <summary>Decides by the line: 0 or a positive result, or a negated errno.</summary>
    public Func<string, int> Answer { get; set; } = _ => 0;

    public bool IsClosed { get; set; }

    /// <summary>Lines that start so.</summary>
    public int CountOf(string prefix) => Log.Count(line => line.StartsWith(prefix, StringComparison.Ordinal));

    public int Call(uint request, void* argument)
    {
        string line = Describe(request, argument);
        lock (_lock)
        {
            Log.Add(line);
            int answer = Answer(line);
            return answer == 0 && request == KvmRequests.KVM_CREATE_DEVICE ? MakeDevice((kvm_create_device*)argument) : answer;
        }
    }

    /// <summary>Devices of the machine that were made: descriptors that are really open.</summary>
    public List<int> Devices { get; } = [];

    public int Call(FileDescriptor device, uint request, void* argument)
    {
        if (device.IsClosed)
        {
            return -Errno.EBADF;
        }

        return Call(request, argument);
    }

    private int MakeDevice(kvm_create_device* create)
    {
        DescriptorIo.Open("/dev/null", Libc.O_RDWR, out FileDescriptor descriptor).Should().Be(0);
        create->fd = (uint)descriptor.Number;
        descriptor.SetHandleAsInvalid();
        Devices.Add((int)create->fd);
        return 0;
    }

    private static string Describe(uint request, void* argument)
    {
        if (request == KvmRequests.KVM_SET_USER_MEMORY_REGION)
        {
            var region = (kvm_userspace_memory_region*)argument;
            return Text($"slot {region->slot} flags {region->flags} 0x{region->guest_phys_addr:X}+0x{region->memory_size:X}");
        }

        if (request == KvmRequests.KVM_IOEVENTFD)
        {
            var doorbell = (kvm_ioeventfd*)argument;
            string verb = (doorbell->flags & KvmConstants.KVM_IOEVENTFD_FLAG_DEASSIGN) != 0 ? "unring" : "ring";
            string space = (doorbell->flags & KvmConstants.KVM_IOEVENTFD_FLAG_PIO) != 0 ? "port" : "memory";
            string match = (doorbell->flags & KvmConstants.KVM_IOEVENTFD_FLAG_DATAMATCH) != 0 ? Text($" match {doorbell->datamatch}") : string.Empty;
            return Text($"{verb} {space} 0x{doorbell->addr:X} length {doorbell->len}{match}");
        }

        if (request == KvmRequests.KVM_IRQFD)
        {
            var irqfd = (kvm_irqfd*)argument;
            string verb = (irqfd->flags & KvmConstants.KVM_IRQFD_FLAG_DEASSIGN) != 0 ? "deassign" : "assign";
            string resample = (irqfd->flags & KvmConstants.KVM_IRQFD_FLAG_RESAMPLE) != 0 ? " resample" : string.Empty;
            return Text($"{verb} {irqfd->gsi}{resample}");
        }

        if (request == KvmRequests.KVM_SET_GSI_ROUTING)
        {
            var header = (kvm_irq_routing*)argument;
            var rows = new ReadOnlySpan<kvm_irq_routing_entry>(header + 1, (int)header->nr);
            var messages = new List<string>();
            foreach (ref readonly kvm_irq_routing_entry row in rows)
            {
                if (row.type == KvmConstants.KVM_IRQ_ROUTING_MSI)
                {
                    messages.Add(Text($"{row.gsi}={row.msi_address_hi:X}:{row.msi_address_lo:X}/{row.msi_data:X}"));
                }
            }

            return Text($"routes {header->nr} {string.Join(' ', messages)}").TrimEnd();
        }

        if (request == KvmRequests.KVM_IRQ_LINE)
        {
            var level = (kvm_irq_level*)argument;
            return Text($"line {level->irq} {level->level}");
        }

        if (request == KvmRequests.KVM_SIGNAL_MSI)
        {
            var msi = (kvm_msi*)argument;
            return Text($"msi {msi->address_hi:X}:{msi->address_lo:X}/{msi->data:X}");
        }

        if (request == KvmRequests.KVM_CREATE_DEVICE)
        {
            return Text($"device {((kvm_create_device*)argument)->type}");
        }

        if (request == KvmRequests.KVM_SET_DEVICE_ATTR)
        {
            var attribute = (kvm_device_attr*)argument;
            return Text($"attribute {attribute->group} {attribute->attr} file {*(int*)attribute->addr}");
        }

        return Text($"request 0x{request:X}");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
