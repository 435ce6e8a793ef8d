using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>Reads what a guest says, line by line, in a thread of its own.</summary>
internal sealed class GuestConsole
{
    private readonly Lock _lock = new();
    private readonly List<string> _lines = [];

    /// <param name="source">Where it is read from, until it ends.</param>
    /// <param name="copy">A file that gets every line.</param>
    public GuestConsole(Stream source, string copy)
    {
        var thread = new Thread(() => Read(source, copy)) { IsBackground = true, Name = "console" };
        thread.Start();
    }

    /// <summary>Values of all lines so far that begin with a word.</summary>
    public string[] Values(string key)
    {
        lock (_lock)
        {
            return [.. _lines.Where(line => line.StartsWith(key + " ", StringComparison.Ordinal)).Select(line => line[(key.Length + 1)..])];
        }
    }

    /// <summary>Waits until the guest has said a word a number of times.</summary>
    /// <returns>The rest of the line behind it.</returns>
    public string Wait(string key, int times = 1)
    {
        string[] values = [];
        bool said = SpinWait.SpinUntil(
            () =>
            {
                Thread.Sleep(20);
                return (values = Values(key)).Length >= times;
            },
            Facts.Patience);
        return said ? values[times - 1] : throw new TimeoutException($"the guest did not say {key} for the {times}. time");
    }

    /// <summary>Waits until the guest has said a line that begins with some words.</summary>
    /// <returns>The word behind them.</returns>
    public async Task<string> WaitAsync(string beginning)
    {
        DateTime end = DateTime.UtcNow + Facts.Patience;
        while (DateTime.UtcNow < end)
        {
            if (Values(beginning) is [var value, ..])
            {
                return value;
            }

            await Task.Delay(20);
        }

        throw new TimeoutException($"the guest did not say {beginning}");
    }

    private void Read(Stream source, string copy)
    {
        using var file = new StreamWriter(new FileStream(copy, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { AutoFlush = true };
        using var reader = new StreamReader(source);
        try
        {
            while (reader.ReadLine() is { } line)
            {
                file.WriteLine(line);
                lock (_lock)
                {
                    _lines.Add(line.TrimEnd('\r'));
                }
            }
        }
        catch (IOException)
        {
            // A terminal whose other end is gone.
        }
    }
}
