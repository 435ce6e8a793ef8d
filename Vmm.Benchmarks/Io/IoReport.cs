using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using System.Text.Json;

namespace Vmm.Benchmarks.Io;

/// <summary>Writes the rows of a run down, for programs and for readers.</summary>
internal static class IoReport
{
    /// <summary>Writes a file with the ending .json and one with .md.</summary>
    public static void Write(string path, IReadOnlyList<IoRow> rows)
    {
        using (FileStream file = File.Create(path + ".json"))
        using (var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("taken", DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));
            json.WriteString("kernel", Environment.OSVersion.Version.ToString());
            json.WriteString("runtime", Environment.Version.ToString());
            json.WriteNumber("processors", Environment.ProcessorCount);
            json.WriteStartArray("rows");
            foreach (IoRow row in rows)
            {
                json.WriteStartObject();
                json.WriteString("file", row.File);
                json.WriteNumber("depth", row.Depth);
                Write(json, "device", row.Ours);
                Write(json, "c_io_uring", row.Ring);
                Write(json, "c_preadv", row.Each);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        var text = new StringBuilder();
        text.AppendLine("Random 4 KiB reads: the block device in process, its driver asleep between interrupts, beside C loops of system calls.");
        text.AppendLine();
        text.AppendLine("| file | depth | IOPS | worker ns each | interrupts each | C io_uring IOPS | ratio | C preadv IOPS | ratio |");
        text.AppendLine("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
        foreach (IoRow row in rows)
        {
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"| {row.File} | {row.Depth} | {row.Ours.RequestsPerSecond:F0} | {row.Ours.Processor:F0} | {row.Ours.Interrupts:F3} | "
                    + $"{row.Ring.RequestsPerSecond:F0} | {row.Ours.RequestsPerSecond / row.Ring.RequestsPerSecond:F2} | "
                    + $"{row.Each.RequestsPerSecond:F0} | {row.Ours.RequestsPerSecond / row.Each.RequestsPerSecond:F2} |");
        }

        File.WriteAllText(path + ".md", text.ToString());
    }

    private static void Write(Utf8JsonWriter json, string name, IoSample sample)
    {
        json.WriteStartObject(name);
        json.WriteNumber("iops", Math.Round(sample.RequestsPerSecond));
        json.WriteNumber("processor_ns", Math.Round(sample.Processor));
        json.WriteNumber("interrupts", Math.Round(sample.Interrupts, 3));
        json.WriteEndObject();
    }
}
