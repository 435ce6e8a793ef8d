using System;
using System.Buffers.Binary;
using Vmm.Cli;
using Vmm.Conformance;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Conformance;

/// <summary>A function to check: a device model by its words, or one with what no model has.</summary>
internal sealed class CheckedFunction : IDisposable
{
    private readonly IDisposable _owner;

    public CheckedFunction(string words)
    {
        (_owner, Target) = words switch
        {
            "foreign" => Plain(function => function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x1000, [])), vendor: 0x8086),
            "ports" => Plain(function => function.AddBar(new PciBar(0, PciBarKind.Io, 0x40, []))),
            "rom" => Plain(function => function.AddBar(new PciBar(PciBar.RomIndex, PciBarKind.Rom, 0x10000, []))),
            "shared" => Plain(AddSharedMemory),
            "read-only" => ReadOnlyDisk(),
            "mtu" => Device(() => new NetDevice(new FakeNetBackend(), new NetDeviceOptions { Mtu = 1500 })),
            "pairs" => Device(() => new NetDevice([new FakeNetBackend(), new FakeNetBackend()])),
            _ => Model(words),
        };
    }

    public ConformanceTarget Target { get; }

    public void Dispose() => _owner.Dispose();

    private static (IDisposable Owner, ConformanceTarget Target) Model(string words)
    {
        ModelFunction function = Models.Make(words);
        return (function, function.Target);
    }

    private static (IDisposable Owner, ConformanceTarget Target) ReadOnlyDisk()
    {
        using var file = new TemporaryFile(1 << 20);

        // The device has the file open: it may go already.
        return Device(() => new BlockDevice(RawFileBackend.Open(file.Path, readOnly: true)));
    }

    private static (IDisposable Owner, ConformanceTarget Target) Device(Func<VirtioDevice> create)
    {
        var access = new InProcessFunctionAccess(dma => new VirtioPciFunction(create(), dma));
        return (access, new ConformanceTarget { Name = "device", Access = access, Reach = TargetReach.All });
    }

    private static (IDisposable Owner, ConformanceTarget Target) Plain(Action<PciFunction> add, ushort vendor = 0x1af4)
    {
        var access = new InProcessFunctionAccess(_ =>
        {
            var function = new PciFunction(
                new PciIdentity { VendorId = vendor, DeviceId = 0x1042, ClassCode = 0x00ff00, SubsystemVendorId = vendor, SubsystemId = 0x1100 });
            add(function);
            return function;
        });
        return (access, new ConformanceTarget { Name = "plain", Access = access, Reach = TargetReach.All });
    }

    private static void AddSharedMemory(PciFunction function)
    {
        function.AddBar(new PciBar(2, PciBarKind.Memory64, 0x10_0000, []));
        foreach (byte id in (byte[])[1, 2])
        {
            byte[] body = new byte[21];
            (body[0], body[1], body[2]) = (8, 2, id);
            BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(5), id * 0x1_0000u);
            BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(9), 0x1_0000);
            function.AddCapability(new VendorSpecificCapability(body));
        }

        function.AddCapability(new VendorSpecificCapability([9, 0x34, 0x12, 0, 0]));
    }
}
