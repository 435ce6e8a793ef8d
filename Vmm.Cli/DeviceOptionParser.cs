using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Vmm.Machine;
using Vmm.Virtio.Devices;

namespace Vmm.Cli;

/// <summary>The words of --disk, --net, --rng, --console and --device.</summary>
internal static class DeviceOptionParser
{
    private const int SerialLimit = 20;
    private const int InterfaceNameLimit = 15;
    private const int QueueLimit = 64;

    /// <summary>Reads one --disk.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="names">The ids that were given so far.</param>
    public static DiskOptions ReadDisk(string text, HashSet<string> names)
    {
        OptionValue words = OptionValue.Parse("--disk", text, ["path", "readonly", "serial", "num_queues", .. TransportOptionParser.Known]);
        string? serial = words.Get("serial");
        if (serial is not null && Encoding.UTF8.GetByteCount(serial) > SerialLimit)
        {
            throw words.Bad("serial", $"longer than {SerialLimit} bytes");
        }

        return new DiskOptions(words.Require("path"), words.GetSwitch("readonly"), serial, words.GetNumber("num_queues", 1, QueueLimit))
        {
            Id = ReadId(words, names),
            QueueSize = TransportOptionParser.ReadQueueSize(words),
            Transport = TransportOptionParser.Read(words),
        };
    }

    /// <summary>Reads one --net.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="names">The ids that were given so far.</param>
    public static NetOptions ReadNet(string text, HashSet<string> names)
    {
        OptionValue words = OptionValue.Parse("--net", text, ["tap", "mac", "ip", "mask", "num_queues", .. TransportOptionParser.Known]);
        string tap = words.Require("tap");
        if (Encoding.UTF8.GetByteCount(tap) > InterfaceNameLimit)
        {
            throw words.Bad("tap", $"longer than {InterfaceNameLimit} bytes, which is the limit of an interface's name");
        }

        if (tap is "." or ".." || tap.Any(c => c is '/' or ':' or '%' || char.IsWhiteSpace(c) || char.IsControl(c)))
        {
            throw words.Bad("tap", "not a name of an interface");
        }

        IPAddress? address = ReadAddress(words, "ip");
        IPAddress? mask = ReadAddress(words, "mask");
        if ((address is null) != (mask is null))
        {
            throw new UsageException("--net", text, address is null ? "mask= without ip=" : "ip= without mask=");
        }

        if (mask is not null && !IsMask(mask))
        {
            throw words.Bad("mask", "not a network mask: ones, then zeroes");
        }

        // Queues for receiving and for sending together, as cloud-hypervisor counts them.
        int queues = words.GetNumber("num_queues", 2, 2 * QueueLimit) ?? 2;
        if (queues % 2 != 0)
        {
            throw words.Bad("num_queues", "not a multiple of 2: a receive and a transmit queue make a pair");
        }

        return new NetOptions(tap, ReadMac(words), address, mask, queues / 2)
        {
            Id = ReadId(words, names),
            QueueSize = TransportOptionParser.ReadQueueSize(words),
            Transport = TransportOptionParser.Read(words),
        };
    }

    /// <summary>Reads --rng.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="names">The ids that were given so far.</param>
    public static EntropyOptions ReadEntropy(string text, HashSet<string> names)
    {
        OptionValue words = OptionValue.Parse("--rng", text, ["src", .. TransportOptionParser.Known]);
        return new EntropyOptions(words.Require("src"))
        {
            Id = ReadId(words, names),
            QueueSize = TransportOptionParser.ReadQueueSize(words),
            Transport = TransportOptionParser.Read(words),
        };
    }

    /// <summary>Reads --console.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="names">The ids that were given so far.</param>
    public static ConsoleOptions ReadConsole(string text, HashSet<string> names)
    {
        OptionValue words = OptionValue.ParseNamed("--console", text, out string? name, ["file", .. TransportOptionParser.Known]);
        return new ConsoleOptions(ReadCharacter(words, name, text, "off, tty or file=FILE"))
        {
            Id = ReadId(words, names),
            QueueSize = TransportOptionParser.ReadQueueSize(words),
            Transport = TransportOptionParser.Read(words),
        };
    }

    /// <summary>Reads one --device.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="names">The ids that were given so far.</param>
    public static HostDeviceOptions ReadHostDevice(string text, HashSet<string> names)
    {
        OptionValue words = OptionValue.Parse("--device", text, "path", "x_nv_gpudirect_clique", "p2p", "mmap", "iommufd", "id");
        return new HostDeviceOptions(words.Require("path"))
        {
            Id = ReadId(words, names),
            GpuDirectClique = words.GetNumber("x_nv_gpudirect_clique", 0, 15),
            PeerToPeer = words.GetSwitch("p2p"),
            MapBars = words.GetSwitch("mmap", absent: true),
            Iommufd = words.GetSwitch("iommufd"),
        };
    }

    /// <summary>Reads --serial.</summary>
    /// <param name="text">Its value.</param>
    public static CharacterOptions ReadSerial(string text)
    {
        OptionValue words = OptionValue.ParseNamed("--serial", text, out string? name, "file");
        return name == "null" && words.Get("file") is null
            ? new CharacterOptions(CharacterKind.Null)
            : ReadCharacter(words, name, text, "off, tty, null or file=FILE");
    }

    private static CharacterOptions ReadCharacter(OptionValue words, string? name, string text, string wanted)
    {
        return (name, words.Get("file")) switch
        {
            ("off", null) => new CharacterOptions(CharacterKind.Off),
            ("tty", null) => new CharacterOptions(CharacterKind.Terminal),
            (null, { } file) => new CharacterOptions(CharacterKind.File, file),
            _ => throw new UsageException(words.Option, text, $"want {wanted}"),
        };
    }

    private static string? ReadId(OptionValue words, HashSet<string> names)
    {
        string? id = words.Get("id");
        return id is null || names.Add(id) ? id : throw words.Bad("id", "another device has this id");
    }

    private static IPAddress? ReadAddress(OptionValue words, string key)
    {
        string? text = words.Get(key);
        if (text is null)
        {
            return null;
        }

        // Short forms such as 10.1 are legal addresses to the parser, and typing mistakes here.
        return text.Count(c => c == '.') == 3
            && IPAddress.TryParse(text, out IPAddress? address)
            && address.AddressFamily == AddressFamily.InterNetwork
            ? address
            : throw words.Bad(key, "not an IPv4 address");
    }

    private static bool IsMask(IPAddress mask)
    {
        uint bits = 0;
        foreach (byte b in mask.GetAddressBytes())
        {
            bits = (bits << 8) | b;
        }

        uint zeroes = ~bits;
        return bits != 0 && (zeroes & (zeroes + 1)) == 0;
    }

    private static MacAddress? ReadMac(OptionValue words)
    {
        string? text = words.Get("mac");
        if (text is null)
        {
            return null;
        }

        if (!MacAddress.TryParse(text, out MacAddress address))
        {
            throw words.Bad("mac", "not an Ethernet address: six pairs of hexadecimal digits with colons");
        }

        return address.IsUnicast ? address : throw words.Bad("mac", "not the address of one card: a multicast address, or all zeroes");
    }
}
