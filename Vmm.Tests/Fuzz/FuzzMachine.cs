using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Pci.Host;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Fuzz;

/// <summary>One of every device of ours on one bus, with options drawn from a seed: what the random driver drives.</summary>
internal sealed class FuzzMachine : IDisposable
{
    public const ulong EcamBase = 0xb000_0000;
    public const int Disk = 0;
    public const int Net = 1;
    public const int Entropy = 2;
    public const int Console = 3;
    public const int Endpoint = 4;
    public const int Port = 5;
    public const int BehindPort = 6;
    private const int DiskLength = 1 << 20;

    private readonly DirectoryInfo _folder;
    private readonly List<PciFunction> _functions = [];
    private readonly Lock _slot = new();
    private readonly FuzzEndpoint _endpoint;
    private readonly byte[] _sentinel = new byte[4096];
    private readonly Random _random;

    /// <param name="options">Seed and guards.</param>
    /// <param name="platform">Spaces and seams.</param>
    public FuzzMachine(FuzzOptions options, FuzzPlatform platform)
    {
        Options = options;
        Platform = platform;
        _random = new Random((int)(options.Seed >> 32) ^ (int)options.Seed);
        _folder = Directory.CreateTempSubdirectory("vmm-fuzz-");
        Ram = new FuzzRam(platform.Memory, options.Guard, platform.RamRegions);
        Bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = platform.Memory,
            Ports = platform.Ports,
            Windows =
            [
                new PciWindow(AddressSpaceKind.Memory, 0xc000_0000, 0x1000_0000),
                new PciWindow(AddressSpaceKind.Memory, 0x40_0000_0000, 0x10_0000_0000),
                new PciWindow(AddressSpaceKind.Port, 0xc000, 0x3000),
            ],
            MsiSink = platform.MsiSink,
            InterruptLines = platform.Seams,
            EcamBase = EcamBase,
            BusCount = 16,
        });
        Bridge.ClaimConfigurationAccess();
        _random.NextBytes(_sentinel);
        File.WriteAllBytes(SentinelPath, _sentinel);
        _endpoint = new FuzzEndpoint(_random);
        AddFunctions();
        Bridge.Root.AssignResources();
    }

    public FuzzOptions Options { get; }

    public FuzzPlatform Platform { get; }

    public FuzzCounts Counts => Platform.Counts;

    public AddressSpace Memory => Platform.Memory;

    public AddressSpace Ports => Platform.Ports;

    public FuzzRam Ram { get; }

    public PciHostBridge Bridge { get; }

    public IReadOnlyList<PciFunction> Functions => _functions;

    public PciRootPort RootPort => (PciRootPort)_functions[Port];

    public FuzzNetBackend NetBackend { get; private set; } = null!;

    public FuzzConsoleBackend ConsoleBackend { get; private set; } = null!;

    private string SentinelPath => Path.Combine(_folder.FullName, "sentinel");

    /// <summary>Where the registers of a function are in memory now, also while it is off the bus.</summary>
    public ulong ConfigurationOf(int function)
    {
        return EcamBase + ((ulong)_functions[function].Address.RequesterId << 12);
    }

    public void Unplug()
    {
        // One hand at the slot; both vCPUs' lists may ask for it.
        lock (_slot)
        {
            if (_functions[BehindPort].Bus is not null)
            {
                RootPort.HotRemove(SlotRemoval.Surprise).IsCompletedSuccessfully.Should().BeTrue("a surprise is over at once");
            }
        }
    }

    public void Plug()
    {
        lock (_slot)
        {
            if (_functions[BehindPort].Bus is null)
            {
                RootPort.HotAdd(_functions[BehindPort]);
            }
        }
    }

    /// <summary>What is wrong with the host's files, or null.</summary>
    public string? CheckFiles()
    {
        if (!File.ReadAllBytes(SentinelPath).AsSpan().SequenceEqual(_sentinel))
        {
            return "a file that belongs to no device was changed";
        }

        foreach (string disk in Directory.GetFiles(_folder.FullName, "disk*"))
        {
            if (new FileInfo(disk).Length != DiskLength)
            {
                return $"a disk of {DiskLength} bytes has {new FileInfo(disk).Length}";
            }
        }

        return null;
    }

    /// <summary>Adds what the functions counted.</summary>
    public void CollectMistakes()
    {
        foreach (GuestMistake mistake in Enum.GetValues<GuestMistake>())
        {
            Counts.Mistakes[(int)mistake] = _functions.OfType<VirtioPciFunction>().Sum(function => function.CountOf(mistake));
        }
    }

    public void Dispose()
    {
        foreach (PciFunction function in Enumerable.Reverse(_functions))
        {
            function.Bus?.Remove(function);
            function.Dispose();
        }

        _endpoint.Dispose();
        Ram.Dispose();
        Platform.Dispose();
        _folder.Delete(recursive: true);
    }

    private void AddFunctions()
    {
        NetBackend = new FuzzNetBackend(Counts);
        ConsoleBackend = new FuzzConsoleBackend(Counts);
        Add(Virtio("fzdisk", id => MakeDisk("disk0", id)), 1);
        Add(Virtio("fznet", id => new NetDevice(NetBackend, new NetDeviceOptions { Id = id, QueueSize = QueueSize(), Mtu = 1500 })), 2);
        Add(Virtio("fzrng", id => new EntropyDevice(new EntropyDeviceOptions { Id = id, QueueSize = QueueSize() })), 3);
        Add(
            Virtio(
                "fzcon",
                id => new ConsoleDevice(ConsoleBackend, new ConsoleDeviceOptions { Id = id, QueueSize = QueueSize(), Columns = 80, Rows = 25 })),
            3,
            1);
        Add(_endpoint.Function, 4);
        var port = new PciRootPort(new PciRootPortOptions { IoWindow = 0x1000 });
        Add(port, 5);
        PciFunction behind = Virtio("fzplug", id => MakeDisk("disk1", id));
        port.Secondary.Add(behind, 0);
        _functions.Add(behind);
    }

    private void Add(PciFunction function, int device, int number = 0)
    {
        Bridge.Root.Add(function, device, number);
        _functions.Add(function);
    }

    private ushort QueueSize() => (ushort)(4 << _random.Next(7));

    private BlockDevice MakeDisk(string name, string id)
    {
        string path = Path.Combine(_folder.FullName, name);
        using (FileStream stream = File.Create(path))
        {
            stream.SetLength(DiskLength);
        }

        var backend = new FuzzBlockBackend(RawFileBackend.Open(path, readOnly: false), Counts);
        return new BlockDevice(
            backend, new BlockDeviceOptions { Id = id, QueueCount = _random.Next(1, 4), QueueSize = QueueSize(), Serial = "fuzz" });
    }

    private VirtioPciFunction Virtio(string name, Func<string, VirtioDevice> make)
    {
        VirtioDevice device = make(name);
        int? vectors = _random.Next(4) switch { 0 => 0, 1 => 1, _ => null };
        return new VirtioPciFunction(device, new DmaTarget(Ram.Guest), new VirtioPciOptions
        {
            Name = name,
            Vectors = vectors,
            PackedRing = _random.Next(2) == 0,
            NotificationData = _random.Next(2) == 0,
            EventIndex = _random.Next(4) != 0,
            IndirectDescriptors = _random.Next(4) != 0,
            InOrder = _random.Next(2) == 0,
            LoggerFactory = Platform.Logger,
        });
    }
}
