using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using Vmm.Machine;
using Vmm.Machine.Catalogue;

namespace Vmm.Api.Config;

/// <summary>Writes a machine's description as cloud-hypervisor's VmConfig, for vm.info.</summary>
/// <param name="json">Where to.</param>
/// <param name="paths">The path of the terminal that a serial port (<c>serial</c>) or a console (its id) was given, or null.</param>
internal sealed class VmConfigWriter(Utf8JsonWriter json, Func<string, string?> paths)
{
    /// <summary>The id that the serial port's path goes by.</summary>
    public const string SerialPort = "serial";

    /// <summary>Writes the description.</summary>
    /// <param name="options">The machine.</param>
    /// <param name="devices">Its devices with their ids, those that were added among them.</param>
    public void Write(MachineOptions options, IReadOnlyList<DeviceOptions> devices)
    {
        json.WriteStartObject();
        json.WriteStartObject("cpus");
        json.WriteNumber("boot_vcpus", options.CpuCount);
        json.WriteNumber("max_vcpus", options.CpuCount);
        json.WriteEndObject();
        json.WriteStartObject("memory");
        json.WriteNumber("size", options.Memory.Size);
        json.WriteBoolean("shared", options.Memory.Shared);
        json.WriteBoolean("hugepages", options.Memory.HugePages);
        json.WriteBoolean("thp", options.Memory.TransparentHugePages);
        json.WriteEndObject();
        json.WriteStartObject("payload");
        json.WriteString("kernel", options.KernelPath);
        WriteText("cmdline", options.CommandLine);
        WriteText("initramfs", options.InitramfsPath);
        json.WriteEndObject();
        WriteList<DiskOptions>("disks", devices, WriteDisk);
        WriteList<NetOptions>("net", devices, WriteNet);
        if (devices.OfType<EntropyOptions>().FirstOrDefault() is { } rng)
        {
            json.WriteStartObject("rng");
            json.WriteString("src", rng.Source);
            json.WriteEndObject();
        }

        if (devices.OfType<BalloonOptions>().FirstOrDefault() is { } balloon)
        {
            json.WriteStartObject("balloon");
            json.WriteNumber("size", balloon.Size);
            json.WriteBoolean("deflate_on_oom", balloon.DeflateOnOom);
            json.WriteBoolean("free_page_reporting", balloon.FreePageReporting);
            json.WriteEndObject();
        }

        WriteCharacter("serial", options.Serial, paths(SerialPort));
        ConsoleOptions? console = devices.OfType<ConsoleOptions>().FirstOrDefault();
        WriteCharacter("console", console?.Character ?? new CharacterOptions(CharacterKind.Off), console?.Id is { } id ? paths(id) : null);
        WriteList<HostDeviceOptions>("devices", devices, WriteDevice);
        json.WriteEndObject();
    }

    private void WriteDisk(DiskOptions disk)
    {
        json.WriteString("path", disk.Path);
        json.WriteBoolean("readonly", disk.ReadOnly);
        json.WriteBoolean("direct", disk.Direct);
        json.WriteNumber("num_queues", disk.QueueCount ?? 1);
        WriteText("serial", disk.Serial);
        json.WriteBoolean("disable_io_uring", disk.DisableIoUring);
    }

    private void WriteNet(NetOptions net)
    {
        WriteText("tap", net.Tap.Length == 0 ? null : net.Tap);
        WriteText("ip", net.HostAddress?.ToString());
        WriteText("mask", net.HostMask?.ToString());
        WriteText("mac", net.MacAddress?.ToString());
        json.WriteNumber("num_queues", 2 * net.Pairs);
    }

    private void WriteDevice(HostDeviceOptions device) => json.WriteString("path", device.Path);

    private void WriteCharacter(string name, CharacterOptions character, string? path)
    {
        json.WriteStartObject(name);
        json.WriteString("mode", character.Kind switch
        {
            CharacterKind.Null or CharacterKind.Stream => "Null",
            CharacterKind.Terminal => "Tty",
            CharacterKind.Pty => "Pty",
            CharacterKind.File => "File",
            _ => "Off",
        });
        WriteText("file", path ?? character.Path);
        json.WriteEndObject();
    }

    private void WriteList<T>(string name, IReadOnlyList<DeviceOptions> devices, Action<T> write)
        where T : DeviceOptions
    {
        json.WriteStartArray(name);
        foreach (T device in devices.OfType<T>())
        {
            json.WriteStartObject();
            json.WriteString("id", device.Id);
            if (device is VirtioOptions virtio)
            {
                json.WriteBoolean("iommu", virtio.Transport.AccessPlatform);
                if (virtio.QueueSize is { } size)
                {
                    json.WriteNumber("queue_size", size);
                }
            }

            write(device);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private void WriteText(string name, string? text)
    {
        if (text is not null)
        {
            json.WriteString(name, text);
        }
        else
        {
            json.WriteNull(name);
        }
    }
}
