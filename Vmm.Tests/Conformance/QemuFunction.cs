using System;
using System.IO;
using System.Threading;
using Microsoft.Win32.SafeHandles;
using Vmm.Conformance.Driving;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Pci.Spec;

namespace Vmm.Tests.Conformance;

/// <summary>
/// A function of QEMU's: reached by its test protocol, with RAM in a file that both map. Messages go to words of that RAM, where they are looked for;
/// the pin is heard as QEMU reports the interrupt controller's inputs.
/// </summary>
internal sealed class QemuFunction : IPciFunctionAccess, IDisposable
{
    private const ulong Ecam = 0xb000_0000;
    private const ulong Port = Ecam + (2 << 15);
    private const ulong Function = Ecam + (1 << 20);
    private const ulong FirstBar = 0xe000_0000;
    private const ulong RamLength = 256 << 20;
    private const ulong Mailboxes = 8 << 20;
    private const ulong FirstBuffer = 16 << 20;

    private readonly QemuTestServer _server;
    private readonly SafeFileHandle _file;
    private readonly HostMemory _ram;
    private readonly ulong[] _lengths = new ulong[6];
    private readonly Lock _lock = new();
    private ulong _nextBuffer = FirstBuffer;
    private Thread? _mailboxes;
    private volatile bool _watching;
    private Action<int>? _message;
    private int _messages;

    public QemuFunction(params string[] device)
    {
        string path = Path.Combine("/dev/shm", $"vmmdevices-qemu-{Guid.NewGuid():N}");
        _file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite, FileOptions.None, (long)RamLength);
        try
        {
            _server = new QemuTestServer(path, RamLength, device);
        }
        finally
        {
            File.Delete(path);
        }

        _ram = HostMemory.MapDescriptor((int)_file.DangerousGetHandle(), 0, RamLength, writable: true);
        _server.PinRaised += () => PinAsserted?.Invoke();
        _server.EnableEcam(Ecam);

        // The root port: bus 1 behind it, the window of the BARs, memory and mastering on.
        _server.Write(Port + 0x18, 4, 0x0001_0100);
        _server.Write(Port + 0x20, 4, 0xeff0_e000);
        _server.Write(Port + 4, 2, 7);
        PlaceBars();
        WriteConfiguration(ConfigurationRegisters.Command, 2, 2);
    }

    public int MessageVectors => PciFacts.Read(this).MsixVectors;

    public bool HasPin => ReadConfiguration(ConfigurationRegisters.InterruptPin, 1) is >= 1 and <= 4;

    private Action? PinAsserted { get; set; }

    public uint ReadConfiguration(int offset, int width) => (uint)_server.Read(Function + (uint)offset, width);

    public void WriteConfiguration(int offset, int width, uint value) => _server.Write(Function + (uint)offset, width, value);

    public ulong GetBarLength(int bar) => bar is >= 0 and < 6 ? _lengths[bar] : 0;

    public ulong ReadBar(int bar, ulong offset, int width) => _server.Read(AddressOf(bar) + offset, width);

    public void WriteBar(int bar, ulong offset, int width, ulong value) => _server.Write(AddressOf(bar) + offset, width, value);

    public void EnableMessages(int count, Action<int> signalled)
    {
        var facts = PciFacts.Read(this);
        (_message, _messages) = (signalled, count);
        for (int i = 0; i < count; i++)
        {
            Word(Mailboxes + (ulong)(4 * i)) = 0;
            ulong entry = facts.MsixTable.Offset + (ulong)(16 * i);
            WriteBar(facts.MsixTable.Bar, entry, 4, Mailboxes + (ulong)(4 * i));
            WriteBar(facts.MsixTable.Bar, entry + 4, 4, 0);
            WriteBar(facts.MsixTable.Bar, entry + 8, 4, (ulong)i + 1);
            WriteBar(facts.MsixTable.Bar, entry + 12, 4, 0);
        }

        WriteConfiguration(facts.Msix + 2, 2, 0x8000);
        _watching = true;
        _mailboxes = new Thread(Watch) { IsBackground = true, Name = "mailboxes" };
        _mailboxes.Start();
    }

    public void EnablePin(Action asserted)
    {
        PinAsserted = asserted;
        WriteConfiguration(ConfigurationRegisters.Command, 2, ReadConfiguration(ConfigurationRegisters.Command, 2) & ~0x400u);
    }

    public void DisableInterrupts()
    {
        StopWatching();
        (_message, PinAsserted) = (null, null);
        var facts = PciFacts.Read(this);
        if (facts.Msix != 0)
        {
            WriteConfiguration(facts.Msix + 2, 2, 0);
        }

        WriteConfiguration(ConfigurationRegisters.Command, 2, ReadConfiguration(ConfigurationRegisters.Command, 2) | 0x400);
    }

    public IDmaBuffer MapBuffer(int length)
    {
        ulong size = ((ulong)length + 0xfff) & ~0xfffUL;
        ulong at = Interlocked.Add(ref _nextBuffer, size) - size;
        (at + size).Should().BeLessThanOrEqualTo(RamLength, "the buffers of a run fit into RAM");
        var buffer = new Buffer(_ram, at, length);
        buffer.Span.Clear();
        return buffer;
    }

    public void Dispose()
    {
        StopWatching();
        _server.Dispose();

        // RAM stays mapped as long as anybody refers to it: a check that did not end may still look at it.
        _file.Dispose();
    }

    /// <summary>On a thread of its own: on those of the pool, it would wait for other tests.</summary>
    private void Watch()
    {
        while (_watching)
        {
            Look();
            Thread.Sleep(1);
        }
    }

    private void StopWatching()
    {
        _watching = false;
        _mailboxes?.Join();
        _mailboxes = null;
    }

    private void Look()
    {
        lock (_lock)
        {
            for (int i = 0; i < _messages; i++)
            {
                uint data = Interlocked.Exchange(ref Word(Mailboxes + (ulong)(4 * i)), 0);
                if (data != 0)
                {
                    _message?.Invoke((int)data - 1);
                }
            }
        }
    }

    private unsafe ref uint Word(ulong at) => ref *(uint*)(_ram.Pointer + at);

    private ulong AddressOf(int bar)
    {
        int register = ConfigurationRegisters.Bar0 + (4 * bar);
        uint low = ReadConfiguration(register, 4);
        ulong high = (low & 6) == 4 ? ReadConfiguration(register + 4, 4) : 0;
        return (low & ~15u) | (high << 32);
    }

    private void PlaceBars()
    {
        ulong next = FirstBar;
        for (int bar = 0; bar < 6; bar++)
        {
            int register = ConfigurationRegisters.Bar0 + (4 * bar);
            WriteConfiguration(register, 4, uint.MaxValue);
            uint mask = ReadConfiguration(register, 4);
            if (mask == 0 || (mask & 1) != 0)
            {
                continue;
            }

            ulong size = ~(mask & ~15u) + 1u;
            next = (next + size - 1) & ~(size - 1);
            _lengths[bar] = size;
            WriteConfiguration(register, 4, (uint)next);
            if ((mask & 6) == 4)
            {
                WriteConfiguration(register + 4, 4, 0);
                bar++;
            }

            next += size * 2;
        }
    }

    private sealed unsafe class Buffer(HostMemory ram, ulong at, int length) : IDmaBuffer
    {
        public ulong Iova => at;

        public Span<byte> Span => new(ram.Pointer + at, length);

        public void Dispose()
        {
        }
    }
}
