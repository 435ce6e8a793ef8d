using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>Reads the pipe of an event monitor in a thread of its own, from its opening to its end.</summary>
internal sealed class EventPipe
{
    private readonly Lock _lock = new();
    private readonly MemoryStream _bytes = new();
    private readonly Thread _thread;

    public EventPipe(string path)
    {
        _thread = new Thread(() => Read(path)) { IsBackground = true, Name = "events" };
        _thread.Start();
    }

    /// <summary>The events of the VM and of the VMM so far, as <c>source:event</c>.</summary>
    public IReadOnlyList<string> Names
    {
        get
        {
            byte[] bytes;
            lock (_lock)
            {
                bytes = _bytes.ToArray();
            }

            return Parse(bytes);
        }
    }

    /// <summary>Waits for an event of a name.</summary>
    public void Wait(string name)
    {
        DateTime end = DateTime.UtcNow + Facts.Patience;
        while (!Names.Contains(name))
        {
            Facts.Check(DateTime.UtcNow < end, $"the event {name} did not come: {string.Join(' ', Names)}");
            Thread.Sleep(20);
        }
    }

    /// <summary>Waits until nobody writes any more.</summary>
    public void WaitForEnd() => Facts.Check(_thread.Join(Facts.Patience), "the pipe of events did not end");

    /// <summary>Whole objects, one after the other, each with the members that a reader looks at.</summary>
    private static List<string> Parse(byte[] bytes)
    {
        var names = new List<string>();
        var reader = new Utf8JsonReader(bytes, isFinalBlock: false, new JsonReaderState(new JsonReaderOptions { AllowMultipleValues = true }));
        while (reader.Read() && JsonDocument.TryParseValue(ref reader, out JsonDocument? document))
        {
            JsonElement happened = document.RootElement;
            Facts.Check(
                happened.GetProperty("timestamp").GetProperty("secs").TryGetUInt64(out _)
                    && happened.GetProperty("timestamp").GetProperty("nanos").GetUInt32() < 1_000_000_000
                    && happened.TryGetProperty("properties", out _),
                $"this is no event: {happened}");
            string source = happened.GetProperty("source").GetString()!;
            if (source is "vm" or "vmm" or "guest")
            {
                names.Add($"{source}:{happened.GetProperty("event").GetString()}");
            }
        }

        return names;
    }

    private void Read(string path)
    {
        // Waits for a writer, as a client does.
        using var pipe = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        byte[] buffer = new byte[4096];
        int count;
        while ((count = pipe.Read(buffer)) > 0)
        {
            lock (_lock)
            {
                _bytes.Write(buffer, 0, count);
            }
        }
    }
}
