using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Interop;
using Vmm.Machine.Host;

namespace Vmm.Machine.Events;

/// <summary>Writes events to a file, a pipe or a descriptor, one JSON object after the other, as cloud-hypervisor does (CTL-4).</summary>
/// <remarks>
/// Thread-safe. Whoever posts never waits: a thread of the monitor's own writes, and what finds <see cref="Limit"/> events waiting is lost and
/// counted. A reader that is slow or gone holds up that thread alone.
/// </remarks>
public sealed class EventMonitor : IDisposable
{
    /// <summary>Events that wait for the reader at most.</summary>
    public const int Limit = 1024;

    private const string Part = "event-monitor";

    // How long a disposal waits for the reader to take what is left.
    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(500);

    private static readonly JsonWriterOptions Form = new() { Indented = true };

    private readonly BlockingCollection<MachineEvent> _waiting = new(new ConcurrentQueue<MachineEvent>(), Limit);
    private readonly FileDescriptor _output;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private long _lost;
    private bool _disposed;

    private EventMonitor(FileDescriptor output, ILogger logger)
    {
        (_output, _logger) = (output, logger);
        _thread = new Thread(WriteAll) { IsBackground = true, Name = "event-monitor" };
        _thread.Start();
    }

    /// <summary>Events that were not written: the reader was too slow, or is gone.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <summary>Opens a file or a named pipe. A pipe is opened at once, whether somebody reads it yet or not.</summary>
    /// <param name="path">The file, made if it is absent and emptied if it is not, or the pipe.</param>
    /// <param name="loggers">Where it says what was lost.</param>
    /// <exception cref="MachineException">It cannot be opened for writing.</exception>
    public static EventMonitor Open(string path, ILoggerFactory? loggers = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);

        // For reading too: a pipe without a reader is not opened for writing alone without waiting for one.
        const int Flags = Libc.O_RDWR | Libc.O_CREAT | Libc.O_TRUNC | Libc.O_NOCTTY;
        int error = DescriptorIo.Open(path, Flags, out FileDescriptor file, DescriptorIo.AnybodysFile);
        return error == 0
            ? new EventMonitor(file, GuardedLogger.Create(loggers, "Vmm.Machine"))
            : throw new MachineException(Part, path, $"cannot be opened for writing: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    /// <summary>Writes to a descriptor that is open already.</summary>
    /// <param name="descriptor">Its number; the monitor's from now on.</param>
    /// <param name="loggers">Where it says what was lost.</param>
    /// <exception cref="MachineException">It is not open.</exception>
    public static EventMonitor Adopt(int descriptor, ILoggerFactory? loggers = null)
    {
        return DescriptorIo.IsOpen(descriptor)
            ? new EventMonitor(new FileDescriptor(descriptor), GuardedLogger.Create(loggers, "Vmm.Machine"))
            : throw new MachineException(Part, $"fd={descriptor}", "is not open in this process");
    }

    /// <summary>Has an event written; returns at once.</summary>
    /// <param name="happened">The event.</param>
    public void Post(MachineEvent happened)
    {
        try
        {
            // Devices, of which a guest says how much they have to tell, leave half of the room to the machine.
            bool hasRoom = happened.Source != "virtio-device" || _waiting.Count < Limit / 2;
            if (!hasRoom || !_waiting.TryAdd(happened))
            {
                Interlocked.Increment(ref _lost);
            }
        }
        catch (InvalidOperationException)
        {
            // Closed.
            Interlocked.Increment(ref _lost);
        }
    }

    /// <summary>Lets the reader take what is left, for half a second at most.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _waiting.CompleteAdding();
        bool ended = _thread.Join(LastWords);
        long lost = Lost + _waiting.Count;
        if (lost != 0)
        {
            _logger.EventsLost(lost);
        }

        // A thread that the reader holds up keeps the descriptor, and ends with the process.
        if (ended)
        {
            _output.Dispose();
            _waiting.Dispose();
        }
    }

    private static byte[] ToJson(MachineEvent happened)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Form))
        {
            json.WriteStartObject();
            json.WriteStartObject("timestamp");
            json.WriteNumber("secs", (long)happened.Time.TotalSeconds);
            json.WriteNumber("nanos", happened.Time.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick);
            json.WriteEndObject();
            json.WriteString("source", happened.Source);
            json.WriteString("event", happened.Name);
            if (happened.Properties is { } properties)
            {
                json.WriteStartObject("properties");
                foreach (KeyValuePair<string, string> property in properties)
                {
                    json.WriteString(property.Key, property.Value);
                }

                json.WriteEndObject();
            }
            else
            {
                json.WriteNull("properties");
            }

            json.WriteEndObject();
        }

        stream.Write("\n\n"u8);
        return stream.ToArray();
    }

    private void WriteAll()
    {
        bool gone = false;
        bool cut = false;
        foreach (MachineEvent happened in _waiting.GetConsumingEnumerable())
        {
            byte[] json = ToJson(happened);

            // Part of an object may stand there: the next one begins on a line of its own.
            int error = gone ? Errno.EPIPE : Write(cut ? [(byte)'\n', .. json] : json);
            if (error != 0)
            {
                Interlocked.Increment(ref _lost);
            }

            // A disk that is full has room again some time.
            cut = error != 0;
            gone = error is Errno.EPIPE or Errno.ECONNRESET or Errno.EBADF;
        }
    }

    /// <returns>0 or an error number.</returns>
    private int Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int error = DescriptorIo.WriteSome(_output.Number, bytes, out int written);
            if (error == Errno.EAGAIN)
            {
                _ = DescriptorIo.WaitWritable(_output.Number, Timeout.Infinite);
            }
            else if (error != 0 || written == 0)
            {
                // Nothing taken and nothing wrong is no progress either.
                return error != 0 ? error : Errno.EIO;
            }

            bytes = bytes[written..];
        }

        return 0;
    }
}
