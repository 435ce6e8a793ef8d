using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Numerics;
using System.Text;
using Vmm.Machine;
using Vmm.Virtio.Devices;

namespace Vmm.Cli;

/// <summary>The words of --disk and --net.</summary>
internal static class DeviceWords
{
    private const int SerialLimit = 20;
    private const int InterfaceNameLimit = 15;
    private const int QueueLimit = 64;
    private const int QueueSizeLimit = 32768;

    /// <summary>Reads one --disk.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="names">The ids that were given so far.</param>
    public static DiskOptions ReadDisk(string text, HashSet<string> names)
    {
        OptionWords words = OptionWords.Parse("--disk", text, "path", "readonly", "id", "serial", "num_queues", "queue_size");
        string? serial = words.Get("serial");
        if (serial != null && Encoding.UTF8.GetByteCount(serial) > SerialLimit)
        {
            throw words.Bad("serial", $"longer than {SerialLimit} bytes");
        }

        int? queueSize = words.GetNumber("queue_size", 2, QueueSizeLimit);
        if (queueSize is { } size && !BitOperations.IsPow2(size))
        {
            throw words.Bad("queue_size", "not a power of two");
        }

        return new DiskOptions(
            words.Require("path"), words.GetSwitch("readonly"), ReadId(words, names), serial, words.GetNumber("num_queues", 1, QueueLimit), queueSize);
    }

    /// <summary>Reads one --net.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="names">The ids that were given so far.</param>
    public static NetOptions ReadNet(string text, HashSet<string> names)
    {
        OptionWords words = OptionWords.Parse("--net", text, "tap", "mac", "ip", "mask", "id");
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
        if ((address == null) != (mask == null))
        {
            throw new UsageException("--net", text, address == null ? "mask= without ip=" : "ip= without mask=");
        }

        if (mask != null && !IsMask(mask))
        {
            throw words.Bad("mask", "not a network mask: ones, then zeroes");
        }

        return new NetOptions(tap, ReadMac(words), address, mask, ReadId(words, names));
    }

    private static string? ReadId(OptionWords words, HashSet<string> names)
    {
        string? id = words.Get("id");
        return id == null || names.Add(id) ? id : throw words.Bad("id", "another device has this id");
    }

    private static IPAddress? ReadAddress(OptionWords words, string key)
    {
        string? text = words.Get(key);
        if (text == null)
        {
            return null;
        }

        // Short forms such as 10.1 are legal addresses to the parser, and typing mistakes here.
        return text.Count(c => c == '.') == 3 && IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == AddressFamily.InterNetwork
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

    private static MacAddress? ReadMac(OptionWords words)
    {
        string? text = words.Get("mac");
        if (text == null)
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
