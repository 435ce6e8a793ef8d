using System;
using System.Globalization;
using System.IO;
using System.Text.Json;
using Vmm.Machine.Catalogue;

namespace Vmm.Cli;

/// <summary>The bodies of requests, from words like those of the command line.</summary>
internal static class CtlBody
{
    private static readonly string[] Limits = ["size", "one_time_burst", "refill_time"];

    /// <summary>DiskConfig.</summary>
    public static byte[] OfDisk(string text)
    {
        var words = OptionValue.Parse("add-disk", text, [
            "path", "id", "serial", "readonly", "direct", "iommu", "num_queues", "queue_size", "_disable_io_uring", .. LimitWords,
        ]);
        words.Require("path");
        return Write(json =>
        {
            Texts(json, words, "path", "id", "serial");
            Switches(json, words, "readonly", "direct", "iommu");
            Numbers(json, words, "num_queues", "queue_size");
            if (words.Get("_disable_io_uring") is not null)
            {
                json.WriteBoolean("disable_io_uring", words.GetSwitch("_disable_io_uring"));
            }

            WriteLimits(json, words);
        });
    }

    /// <summary>NetConfig.</summary>
    public static byte[] OfNet(string text)
    {
        var words = OptionValue.Parse("add-net", text, ["tap", "id", "ip", "mask", "mac", "iommu", "num_queues", "queue_size", .. LimitWords]);
        words.Require("tap");
        return Write(json =>
        {
            Texts(json, words, "tap", "id", "ip", "mask", "mac");
            Switches(json, words, "iommu");
            Numbers(json, words, "num_queues", "queue_size");
            WriteLimits(json, words);
        });
    }

    /// <summary>DeviceConfig.</summary>
    public static byte[] OfDevice(string text)
    {
        var words = OptionValue.Parse("add-device", text, "path", "id", "x_nv_gpudirect_clique");
        words.Require("path");
        return Write(json =>
        {
            Texts(json, words, "path", "id");
            Numbers(json, words, "x_nv_gpudirect_clique");
        });
    }

    /// <summary>VmRemoveDevice.</summary>
    public static byte[] OfId(string id) => Write(json => json.WriteString("id", id));

    /// <summary>VmResizeDisk.</summary>
    public static byte[] OfSize(string id, string size)
    {
        var words = OptionValue.Parse("resize-disk", "size=" + size, "size");
        return Write(json =>
        {
            json.WriteString("id", id);
            json.WriteNumber("desired_size", words.GetSize("size")!.Value);
        });
    }

    private static string[] LimitWords =>
        ["bw_size", "bw_one_time_burst", "bw_refill_time", "ops_size", "ops_one_time_burst", "ops_refill_time"];

    private static byte[] Write(Action<Utf8JsonWriter> members)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static void Texts(Utf8JsonWriter json, OptionValue words, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (words.Get(name) is { } text)
            {
                json.WriteString(name, text);
            }
        }
    }

    private static void Switches(Utf8JsonWriter json, OptionValue words, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (words.Get(name) is not null)
            {
                json.WriteBoolean(name, words.GetSwitch(name));
            }
        }
    }

    private static void Numbers(Utf8JsonWriter json, OptionValue words, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (words.GetNumber(name, 0, int.MaxValue) is { } number)
            {
                json.WriteNumber(name, number);
            }
        }
    }

    private static void WriteLimits(Utf8JsonWriter json, OptionValue words)
    {
        json.WriteStartObject("rate_limiter_config");
        foreach ((string name, string prefix) in (ReadOnlySpan<(string, string)>)[("bandwidth", "bw"), ("ops", "ops")])
        {
            if (words.Get($"{prefix}_size") is null)
            {
                continue;
            }

            json.WriteStartObject(name);
            foreach (string member in Limits)
            {
                string word = string.Create(CultureInfo.InvariantCulture, $"{prefix}_{member}");
                if (words.GetSize(word) is { } number)
                {
                    json.WriteNumber(member, number);
                }
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
    }
}
