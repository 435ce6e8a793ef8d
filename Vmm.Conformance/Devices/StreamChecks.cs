using System;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance.Devices;

/// <summary>Entropy devices and consoles (virtio 1.2, 5.4 and 5.3).</summary>
internal static class StreamChecks
{
    private const VirtioDeviceType Entropy = VirtioDeviceType.Entropy;
    private const VirtioDeviceType Console = VirtioDeviceType.Console;
    private const ulong Size = 1UL << 0;

    public static CheckGroup Group { get; } = new("entropy devices and consoles", "virtio 1.2")
    {
        { "RNG-LENGTH", "5.4.6.2", "Each buffer gets a byte at least", Length, Entropy },
        { "RNG-CHANGES", "5.4.6.2", "Bytes do not repeat", Changes, Entropy },
        { "RNG-INSIDE", "5.4.6.2", "Nothing is written behind the bytes that are reported", Inside, Entropy },
        { "CON-OUTPUT", "5.3.6", "Output of any length is taken", Output, Console },
        { "CON-SIZE", "5.3.4", "A console that tells its size has columns and rows", ScreenSize, Console, Need.DeviceConfiguration, Size },
        { "CON-INPUT", "5.3.6", "Input comes in as much as the other end sends", Input, Console },
    };

    private static void Length(CheckContext check)
    {
        foreach (uint size in new uint[] { 1, 2, 63, 64, 4096 })
        {
            (DriverQueue queue, IDmaBuffer memory) = Start(check, 0, 4096);
            queue.TrySubmit([new DriverSegment(memory.Iova, size, true)]);
            queue.Notify();
            queue.WaitComplete(out uint length);
            check.NoteUsed(queue.Index);
            check.Require(length >= 1 && length <= size, $"1 to {size} bytes", $"{length}");
        }
    }

    private static void Changes(CheckContext check)
    {
        (DriverQueue queue, IDmaBuffer memory) = Start(check, 0, 64);
        Span<byte> seen = stackalloc byte[64];
        int least = 64;
        for (int i = 0; i < 20; i++)
        {
            memory.Span.Clear();
            queue.TrySubmit([new DriverSegment(memory.Iova, 64, true)]);
            queue.Notify();
            queue.WaitComplete(out uint length);
            check.NoteUsed(queue.Index);

            // Eight bytes that are equal by chance are less likely than anything else that can go wrong.
            least = Math.Min(least, (int)length);
            check.Require(
                least < 8 || i == 0 || !memory.Span[..least].SequenceEqual(seen[..least]), "other bytes than those before",
                Convert.ToHexString(memory.Span[..least]));
            check.Require(least < 8 || memory.Span[..least].IndexOfAnyExcept((byte)0) >= 0, "random bytes", "zeroes");
            memory.Span.CopyTo(seen);
        }
    }

    private static void Inside(CheckContext check)
    {
        (DriverQueue queue, IDmaBuffer memory) = Start(check, 0, 256);
        for (int i = 0; i < 20; i++)
        {
            memory.Span.Fill(0xa5);
            queue.TrySubmit([new DriverSegment(memory.Iova, 64, true)]);
            queue.Notify();
            queue.WaitComplete(out _);
            check.Require(memory.Span[64..].IndexOfAnyExcept((byte)0xa5) < 0, "nothing written behind the buffer", "other bytes");
        }
    }

    private static void Output(CheckContext check)
    {
        (DriverQueue queue, IDmaBuffer memory) = Start(check, 1, 4096);
        memory.Span.Fill((byte)' ');
        foreach (uint size in new uint[] { 1, 2, 100, 4096 })
        {
            queue.TrySubmit([new DriverSegment(memory.Iova, size, false)]);
            queue.Notify();
            queue.WaitComplete(out uint length);
            check.NoteUsed(queue.Index);
            check.Equal("bytes that the device wrote into output", 0, length);
        }
    }

    private static void ScreenSize(CheckContext check)
    {
        using var console = VirtioConsoleDriver.Open(check.Access, Options(check) with { RequiredFeatures = Size });
        (int columns, int rows) = console.ScreenSize!.Value;
        check.Require(columns > 0 && rows > 0, "columns and rows", $"{columns} and {rows}");
    }

    /// <summary>Only on a console whose other end answers; others say nothing.</summary>
    private static void Input(CheckContext check)
    {
        using var console = VirtioConsoleDriver.Open(check.Access, Options(check));
        byte[] text = new byte[3000];
        new Random(5).NextBytes(text);
        byte[] read = new byte[text.Length];

        // What was typed before is not ours.
        for (int i = 0; i < 1000 && console.Read(read, check.Limits.Reply / 20) != 0; i++)
        {
        }

        console.Write(text.AsSpan(0, 1));
        if (console.Read(read, check.Limits.Reply / 10) == 0)
        {
            check.Skip("nothing comes from the other end of the console");
        }

        check.NoteUsed(0);

        console.Write(text);
        int count = 0;
        while (count < text.Length && console.Read(read.AsSpan(count), check.Limits.Reply) is > 0 and var more)
        {
            count += more;
        }

        check.Require(count == text.Length, $"{text.Length} bytes of input", $"{count}");
        check.Require(read.AsSpan().SequenceEqual(text), "input as it was sent", "other bytes");
    }

    private static VirtioDriverOptions Options(CheckContext check) => new() { Completion = CompletionMode.Polling, Timeout = check.Limits.Reply };

    private static (DriverQueue Queue, IDmaBuffer Memory) Start(CheckContext check, int queue, int length)
    {
        var driver = VirtioPciDriver.Open(check.Access, Options(check));
        driver.Start([new DriverQueueOptions(queue)]);
        return (driver.Queues[0], driver.MapBuffer(length));
    }
}
