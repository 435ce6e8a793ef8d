using System.Collections.Generic;
using System.IO;
using System.Linq;
using Microsoft.Win32.SafeHandles;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Layout;
using Vmm.Pci.Bridges;

namespace Vmm.Api.Config;

/// <summary>
/// Reads cloud-hypervisor's descriptions of a VM and of its devices (VmConfig, DiskConfig, NetConfig, DeviceConfig of its API, version 0.3.0).
/// </summary>
internal static class VmConfigReader
{
    /// <summary>Root ports that a VM of the API has for devices that come later, as far as the bus has room.</summary>
    public const int RootPorts = 8;

    private static readonly DeviceCatalogue Catalogue = DeviceCatalogue.Default;

    /// <summary>Reads the body of vm.create.</summary>
    public static MachineOptions ReadVm(ConfigObject vm)
    {
        ConfigObject payload = vm.TakeObject("payload") ?? throw vm.Bad("payload", "is needed: the kernel to boot");
        string kernel = payload.RequireText("kernel");
        string? initramfs = payload.TakeText("initramfs") is { Length: not 0 } path ? path : null;
        string cmdline = payload.TakeText("cmdline") ?? "";
        payload.Finish();
        var devices = new List<DeviceOptions>();
        devices.AddRange(vm.TakeObjects("disks").Select(ReadDisk));
        devices.AddRange(vm.TakeObjects("net").Select(static net => ReadNet(net, [])));
        devices.Add(vm.TakeObject("rng") is { } rng ? ReadEntropy(rng) : new EntropyOptions());
        CharacterOptions console = vm.TakeObject("console") is { } other ? ReadCharacter(other) : new CharacterOptions(CharacterKind.Terminal);
        if (console.Kind != CharacterKind.Off)
        {
            devices.Add(new ConsoleOptions(console.Kind == CharacterKind.Null ? CharacterOptions.To(Stream.Null) : console));
        }

        if (vm.TakeObject("balloon") is { } balloon)
        {
            devices.Add(ReadBalloon(balloon));
        }

        devices.AddRange(vm.TakeObjects("devices").Select(ReadDevice));
        var options = new MachineOptions
        {
            KernelPath = kernel,
            InitramfsPath = initramfs,
            CommandLine = cmdline,
            CpuCount = ReadCpus(vm.TakeObject("cpus")),
            Memory = ReadMemory(vm.TakeObject("memory")),
            Serial = vm.TakeObject("serial") is { } serial ? ReadCharacter(serial) : new CharacterOptions(CharacterKind.Null),
            Devices = devices,
            Catalogue = Catalogue,
            RootPorts = CreateRootPorts(devices.Count),
        };
        ReadPlatform(vm.TakeObject("platform"));

        // A log port of the host's, and hints that the guest does not see.
        if (vm.TakeObject("debug_console") is { } debug)
        {
            debug.Expect("mode", "Off");
            debug.Finish();
        }

        if (console.Kind == CharacterKind.Terminal && options.Serial.Kind == CharacterKind.Terminal)
        {
            throw vm.Bad("console.mode", "the terminal is the serial port's");
        }

        vm.Ignore("rtc");
        vm.Finish();
        return options;
    }

    /// <summary>Root ports for a machine with so many devices.</summary>
    public static IReadOnlyList<PciRootPortOptions> CreateRootPorts(int devices)
    {
        int count = int.Clamp(MachineLimits.Slots - devices, 0, RootPorts);
        return [.. Enumerable.Range(1, count).Select(static number => new PciRootPortOptions { Name = $"port{number}", SlotNumber = number })];
    }

    public static DeviceOptions ReadDisk(ConfigObject disk)
    {
        disk.Expect("image_type", "Raw", "Unknown");
        disk.Ignore("disable_aio", "queue_affinity", "sparse", "backing_files");
        ExpectFirstSegment(disk);
        return new DeviceWords(disk).Text("path").Switch("readonly").Switch("direct").Switch("iommu").Number("num_queues").Number("queue_size")
            .Text("id").Text("serial").Switch("disable_io_uring", "_disable_io_uring").RateLimits().Read(Catalogue.Find("disk")!);
    }

    /// <summary>Reads a network device.</summary>
    /// <param name="net">The object.</param>
    /// <param name="descriptors">Open taps that came with it, one a pair of queues; none for a tap by name.</param>
    public static DeviceOptions ReadNet(ConfigObject net, IReadOnlyList<SafeFileHandle> descriptors)
    {
        // The numbers that descriptors had in the client mean nothing here.
        net.Ignore("fds");
        net.Require("offload_tso", "true");
        net.Require("offload_ufo", "true");
        net.Require("offload_csum", "true");
        ExpectFirstSegment(net);
        if (descriptors.Count == 0)
        {
            return new DeviceWords(net).Text("tap").Text("ip").Text("mask").Text("mac").Switch("iommu").Number("num_queues").Number("queue_size")
                .Text("id").RateLimits().Read(Catalogue.Find("net")!);
        }

        if (net.TakeText("tap") is not null)
        {
            throw net.Bad("tap", "a name, and descriptors came with the request: one or the other");
        }

        ulong queues = net.TakeNumber("num_queues") ?? 0;
        if (queues != 0 && queues != 2 * (ulong)descriptors.Count)
        {
            throw net.Bad("num_queues", $"{2 * descriptors.Count} is wanted: two for each descriptor that came with the request");
        }

        // The address of the host's side belongs to who made the tap; its name stands for the one that the words need.
        net.Ignore("ip", "mask");
        var options = (NetOptions)new DeviceWords(net).Text("mac").Switch("iommu").Number("queue_size").Text("id").RateLimits()
            .Word("tap", "descriptor").Read(Catalogue.Find("net")!);
        return options with { Tap = "", Pairs = descriptors.Count, Descriptors = descriptors };
    }

    public static DeviceOptions ReadDevice(ConfigObject device)
    {
        ExpectFirstSegment(device);
        return new DeviceWords(device).Text("path").Text("id").Number("x_nv_gpudirect_clique").Read(Catalogue.Find("device")!);
    }

    private static DeviceOptions ReadEntropy(ConfigObject rng) =>
        new DeviceWords(rng).Text("src").Switch("iommu").Read(Catalogue.Find("rng")!);

    private static DeviceOptions ReadBalloon(ConfigObject balloon) =>
        new DeviceWords(balloon).Number("size").Switch("deflate_on_oom").Switch("free_page_reporting").Read(Catalogue.Find("balloon")!);

    private static int ReadCpus(ConfigObject? cpus)
    {
        if (cpus is null)
        {
            return 1;
        }

        ulong boot = cpus.TakeNumber("boot_vcpus") ?? 1;
        if (boot is 0 or > MachineLimits.Cpus)
        {
            throw cpus.Bad("boot_vcpus", $"not from 1 to {MachineLimits.Cpus}");
        }

        // More of them come with vm.resize alone, which is not here.
        ulong most = cpus.TakeNumber("max_vcpus") ?? boot;
        if (most < boot)
        {
            throw cpus.Bad("max_vcpus", "less than boot_vcpus");
        }

        if (cpus.TakeObject("topology") is { } topology)
        {
            topology.Expect("threads_per_core", "1");
            topology.Expect("dies_per_package", "1");
            topology.Expect("packages", "1");
            topology.Ignore("cores_per_die");
            topology.Finish();
        }

        cpus.Require("nested", "true");
        cpus.Ignore("core_scheduling");
        cpus.Finish();
        return (int)boot;
    }

    private static MemoryOptions ReadMemory(ConfigObject? memory)
    {
        if (memory is null)
        {
            return new MemoryOptions();
        }

        ulong size = memory.TakeNumber("size") ?? new MemoryOptions().Size;
        bool huge = memory.TakeSwitch("hugepages");
        bool shared = memory.TakeSwitch("shared");
        bool transparent = memory.TakeSwitch("thp", absent: true);
        ulong unit = huge ? 2UL << 20 : 4096;
        if (size < MemoryLayout.MinimumSize || size % unit != 0)
        {
            throw memory.Bad("size", $"not a multiple of {unit} from {MemoryLayout.MinimumSize} on");
        }

        if (memory.TakeNumber("hugepage_size") is { } page && page != 2 << 20)
        {
            throw memory.Bad("hugepage_size", "huge pages have 2 MiB here");
        }

        // More comes with vm.resize alone, which is not here; the others are about the host's side of the RAM.
        memory.Ignore("hotplug_size", "hotplugged_size", "hotplug_method", "mergeable", "prefault", "reserve");
        memory.Finish();
        return new MemoryOptions(size, shared, huge, transparent);
    }

    /// <summary>The port and the console of cloud-hypervisor have the same form.</summary>
    private static CharacterOptions ReadCharacter(ConfigObject character)
    {
        string mode = character.TakeText("mode") ?? "Off";
        string? file = character.TakeText("file");
        CharacterOptions options = mode switch
        {
            "Off" => new CharacterOptions(CharacterKind.Off),
            "Null" => new CharacterOptions(CharacterKind.Null),
            "Tty" => new CharacterOptions(CharacterKind.Terminal),
            "Pty" => new CharacterOptions(CharacterKind.Pty),
            "File" => new CharacterOptions(CharacterKind.File, file ?? throw character.Bad("file", "is needed with the mode File")),
            _ => throw character.Bad("mode", $"{mode} is not one of Off, Null, Tty, Pty, File"),
        };
        character.Finish();
        return options;
    }

    private static void ReadPlatform(ConfigObject? platform)
    {
        if (platform is null)
        {
            return;
        }

        // Segments without a device are nothing to the guest, and a device in one is refused.
        platform.Ignore("num_pci_segments", "iommu_address_width");
        platform.Finish();
    }

    private static void ExpectFirstSegment(ConfigObject device) => device.Expect("pci_segment", "0");
}
