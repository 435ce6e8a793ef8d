using System;
using System.Linq;
using System.Reflection;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.Kvm;
using Vmm.Machine;
using Vmm.Pci;
using Vmm.Vfio;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Architecture;

/// <summary>An event id names one message: what a log is searched and alarmed by.</summary>
public sealed class EventIdTests
{
    [Fact]
    public void No_two_messages_share_an_id()
    {
        Type[] libraries =
        [
            typeof(AddressSpace), typeof(PciFunction), typeof(Virtqueue), typeof(VfioException), typeof(KvmVirtualMachine), typeof(VirtualMachine),
        ];
        (int Id, string Message)[] messages = libraries
            .SelectMany(static type => type.Assembly.GetTypes())
            .SelectMany(static type => type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Select(static method => (Method: method, Attribute: method.GetCustomAttribute<LoggerMessageAttribute>()))
            .Where(static pair => pair.Attribute is not null)
            .Select(static pair => (pair.Attribute!.EventId, $"{pair.Method.DeclaringType}.{pair.Method.Name}"))
            .ToArray();

        messages.Should().HaveCountGreaterThan(40, "the attributes are kept in the assemblies");
        messages.GroupBy(static message => message.Id).Where(static group => group.Count() > 1).Select(static group => string.Join(", ", group)).Should()
            .BeEmpty();
    }
}
