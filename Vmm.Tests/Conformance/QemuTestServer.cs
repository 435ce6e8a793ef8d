using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;

namespace Vmm.Tests.Conformance;

/// <summary>
/// A QEMU whose processor halts at once, and its test protocol: a line a command, a line an answer, interrupts as lines in between.
/// </summary>
internal sealed class QemuTestServer : IDisposable
{
    private const string Raised = "IRQ raise ";
    private const int FirstPciInput = 16;

    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly BlockingCollection<string> _answers = [];
    private readonly Lock _lock = new();
    private readonly string _firmware = Path.GetTempFileName();

    public QemuTestServer(string ram, ulong length, params string[] device)
    {
        // cli, hlt, and back to the hlt, at the reset vector.
        byte[] firmware = new byte[64 << 10];
        ((byte[])[0xfa, 0xf4, 0xeb, 0xfd]).CopyTo(firmware, firmware.Length - 16);
        File.WriteAllBytes(_firmware, firmware);
        string megabytes = (length >> 20).ToString(CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo(
            "qemu-system-x86_64",
            [
                "-machine", "q35,memory-backend=ram", "-accel", "tcg", "-m", megabytes, "-nodefaults", "-display", "none", "-bios", _firmware,
                "-object", $"memory-backend-file,id=ram,size={megabytes}M,mem-path={ram},share=on", "-qtest", "stdio", "-qtest-log", "/dev/null",
                .. device,
            ])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        _process = Process.Start(start)!;
        _process.StandardInput.AutoFlush = true;
        var reader = new Thread(ReadLines) { IsBackground = true, Name = "qemu-answers" };
        reader.Start();
        Send("irq_intercept_in ioapic");
    }

    /// <summary>An input of the interrupt controller has gone up.</summary>
    public event Action? PinRaised;

    public void EnableEcam(ulong address)
    {
        // PCIEXBAR of the q35 host bridge.
        Send("outl 0xcf8 0x80000060");
        Send($"outl 0xcfc 0x{address | 1:x}");
    }

    public ulong Read(ulong address, int width)
    {
        string answer = Send($"read{Letter(width)} 0x{address:x}");
        return ulong.Parse(answer.AsSpan("OK 0x".Length), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }

    public void Write(ulong address, int width, ulong value) => Send($"write{Letter(width)} 0x{address:x} 0x{value:x}");

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        File.Delete(_firmware);
    }

    private static char Letter(int width) => width switch
    {
        1 => 'b',
        2 => 'w',
        4 => 'l',
        _ => 'q',
    };

    private string Send(string command)
    {
        lock (_lock)
        {
            _process.StandardInput.WriteLine(command);
            return _answers.TryTake(out string? answer, _patience) && answer.StartsWith("OK", StringComparison.Ordinal)
                ? answer
                : throw new IOException($"QEMU answers {answer ?? "nothing"} to {command}");
        }
    }

    private void ReadLines()
    {
        while (_process.StandardOutput.ReadLine() is { } line)
        {
            if (line.StartsWith(Raised, StringComparison.Ordinal))
            {
                // Below are the timer and other devices of the board.
                if (int.Parse(line.AsSpan(Raised.Length), CultureInfo.InvariantCulture) >= FirstPciInput)
                {
                    PinRaised?.Invoke();
                }
            }
            else if (!line.StartsWith("IRQ", StringComparison.Ordinal))
            {
                _answers.Add(line);
            }
        }
    }
}
