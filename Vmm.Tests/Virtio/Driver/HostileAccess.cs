using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Access;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>A function of ours in process, behind an access that tests can have lie.</summary>
internal class HostileAccess : IPciFunctionAccess, IDisposable
{
    private readonly List<IDmaBuffer> _buffers = [];

    public HostileAccess(Func<DmaTarget, PciFunction> create, ulong iovaLength = 1 << 30)
    {
        Inner = new InProcessFunctionAccess(create, iovaLength);
    }

    public InProcessFunctionAccess Inner { get; }

    /// <summary>What bytes of configuration space are instead.</summary>
    public Dictionary<int, byte> Lies { get; } = [];

    /// <summary>What a BAR read gives instead of the value.</summary>
    public Func<ulong, ulong, ulong>? OnRead { get; set; }

    /// <summary>What is written into a BAR instead of the value.</summary>
    public Func<ulong, ulong, ulong>? OnWrite { get; set; }

    public List<(ulong Offset, int Width, ulong Value)> Writes { get; } = [];

    /// <summary>What the driver did that the order of matters.</summary>
    public List<string> Steps { get; } = [];

    public int? Messages { get; set; }

    public bool? Pin { get; set; }

    public int MessageVectors => Messages ?? Inner.MessageVectors;

    public bool HasPin => Pin ?? Inner.HasPin;

    public uint ReadConfiguration(int offset, int width)
    {
        uint value = Inner.ReadConfiguration(offset, width);
        for (int i = 0; i < width; i++)
        {
            if (Lies.TryGetValue(offset + i, out byte lie))
            {
                value = (value & ~(0xffu << (8 * i))) | ((uint)lie << (8 * i));
            }
        }

        return value;
    }

    public void WriteConfiguration(int offset, int width, uint value)
    {
        if (offset == 4)
        {
            Steps.Add((value & 4) != 0 ? "master" : "no master");
        }

        Inner.WriteConfiguration(offset, width, value);
    }

    public ulong GetBarLength(int bar) => Inner.GetBarLength(bar);

    public ulong ReadBar(int bar, ulong offset, int width)
    {
        ulong value = Inner.ReadBar(bar, offset, width);
        return OnRead?.Invoke(offset, value) ?? value;
    }

    public void WriteBar(int bar, ulong offset, int width, ulong value)
    {
        Writes.Add((offset, width, value));
        if (offset is 0x14 or 0x1a)
        {
            Steps.Add(offset == 0x14 ? $"status {value:x}" : "vector");
        }

        Inner.WriteBar(bar, offset, width, OnWrite?.Invoke(offset, value) ?? value);
    }

    public void EnableMessages(int count, Action<int> signalled)
    {
        Steps.Add($"messages {count}");
        Inner.EnableMessages(count, signalled);
    }

    public void EnablePin(Action asserted)
    {
        Steps.Add("pin");
        Inner.EnablePin(asserted);
    }

    public void DisableInterrupts()
    {
        Steps.Add("interrupts off");
        Inner.DisableInterrupts();
    }

    /// <summary>The function can be reset alone.</summary>
    public bool CanReset { get; set; }

    public IDmaMapping MapMemory(HostMemory memory, ulong offset, ulong length, bool writable = true) =>
        Inner.MapMemory(memory, offset, length, writable);

    public bool TryReset()
    {
        if (!CanReset)
        {
            return false;
        }

        Steps.Add("function reset");
        return Inner.TryReset();
    }

    public IDmaBuffer MapBuffer(int length)
    {
        var buffer = new Buffer(Inner.MapBuffer(length), Steps);
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Memory of the driver by the address that the device has for it.</summary>
    public Span<byte> MemoryAt(ulong iova)
    {
        IDmaBuffer buffer = _buffers.Last(b => iova >= b.Iova && iova - b.Iova < (ulong)b.Span.Length);
        return buffer.Span[(int)(iova - buffer.Iova)..];
    }

    /// <summary>Offset in configuration space of a virtio capability.</summary>
    public int Capability(int type)
    {
        int at = (int)Inner.ReadConfiguration(0x34, 1);
        while (Inner.ReadConfiguration(at, 1) != 9 || Inner.ReadConfiguration(at + 3, 1) != type)
        {
            at = (int)Inner.ReadConfiguration(at + 1, 1);
            at.Should().NotBe(0);
        }

        return at;
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) => Inner.Dispose();

    private sealed class Buffer(IDmaBuffer inner, List<string> steps) : IDmaBuffer
    {
        public ulong Iova => inner.Iova;

        public Span<byte> Span => inner.Span;

        public void Dispose()
        {
            steps.Add("unmap");
            inner.Dispose();
        }
    }
}
