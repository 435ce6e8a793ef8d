using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.State;
using Vmm.Machine.Catalogue;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Machine;

/// <summary>
/// A machine with a device of each kind that needs none of the host's, two root ports with a disk that was put into the first slot while it runs, and
/// a serial port. Two of the same make are told apart by their back-ends alone.
/// </summary>
internal sealed class FurnishedMachine : IDisposable
{
    public static readonly PciAddress Disk = new(0, 1, 0);
    public static readonly PciAddress Net = new(0, 2, 0);
    public static readonly PciAddress Entropy = new(0, 3, 0);
    public static readonly PciAddress Console = new(0, 4, 0);
    public static readonly PciAddress Balloon = new(0, 5, 0);
    public static readonly PciAddress Plugged = new(1, 0, 0);
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private const ushort QueueSize = 16;

    private readonly VirtioPciOptions _transport;
    private readonly TemporaryFile _disk;
    private readonly TemporaryFile _plugged;

    public FurnishedMachine(VirtioPciOptions? transport = null, HostMemory? memory = null, byte[]? content = null, DateTimeOffset? now = null)
    {
        _transport = transport ?? new VirtioPciOptions();
        _disk = new TemporaryFile(content ?? new byte[1 << 20]);
        _plugged = new TemporaryFile(_disk.Content);
        Time = new ManualTime(now ?? new DateTimeOffset(2024, 2, 28, 23, 59, 58, TimeSpan.Zero));
        Rig = new MachineRig(
            MachineRig.Options with
            {
                Catalogue = new DeviceCatalogue(
                    new DiskKind(), new NetKind(_ => [Card]), new EntropyKind(), new ConsoleKind(), new BalloonKind()),
                Devices =
                [
                    Virtio(new DiskOptions(_disk.Path)),
                    Virtio(new NetOptions("tap0", new MacAddress(0x52_54_00_12_34_56))),
                    Virtio(new EntropyOptions()),
                    Virtio(new ConsoleOptions(CharacterOptions.To(ConsoleOutput))),
                    Virtio(new BalloonOptions(1 << 20, FreePageReporting: true)),
                ],
                RootPorts = [Port("port1", 1), Port("port2", 2)],
                Serial = CharacterOptions.To(SerialOutput),
                Time = Time,
            },
            memory: memory);
        Plug();
    }

    public MachineRig Rig { get; }

    public ManualTime Time { get; }

    public FakeNetBackend Card { get; } = new();

    public MemoryStream ConsoleOutput { get; } = new();

    public MemoryStream SerialOutput { get; } = new();

    /// <summary>The content of the disks now.</summary>
    public byte[] Content => _disk.Content;

    public IEnumerable<VirtioPciFunction> Functions => Rig.Devices.Devices.Select(static device => device.Function).OfType<VirtioPciFunction>();

    public PciRootPort FirstPort => Rig.Devices.Slots.Ports[0];

    /// <summary>Puts the disk into the first slot.</summary>
    public void Plug() => Rig.Devices.HotAdd(Virtio(new DiskOptions(_plugged.Path, ReadOnly: true) { Id = "plugged" }), "port1");

    public void Pause()
    {
        foreach (VirtioPciFunction function in Functions)
        {
            function.TryPause(Patience).Should().BeTrue($"{function.Name} has nothing in flight that does not end");
        }
    }

    public void Resume()
    {
        foreach (VirtioPciFunction function in Functions)
        {
            function.Resume();
        }
    }

    public string Save() => ComponentTree.Save(Rig.Component).ToJson();

    public void Restore(string json) => ComponentTree.Restore(Rig.Component, ComponentState.FromJson(json));

    public void Dispose()
    {
        Rig.Dispose();
        _disk.Dispose();
        _plugged.Dispose();
    }

    private static PciRootPortOptions Port(string name, int slot) => new() { Name = name, SlotNumber = slot };

    private VirtioOptions Virtio(VirtioOptions options) => options with { Transport = _transport, QueueSize = QueueSize };
}
