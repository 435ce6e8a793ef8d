using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.Registers;

namespace Vmm.Benchmarks.Model;

/// <summary>What devices are made of: register maps, guest memory, eventfds.</summary>
internal sealed class ModelArea : IBenchmarkArea
{
    private const int Operations = 4096;

    private static readonly RegisterMap<Registers> Map = new("registers", length: 0x40)
    {
        { 0x00, 4, RegisterAccess.ReadWrite, "select", static d => d.Select, static (d, v) => d.Select = (uint)v },
        { 0x04, 4, RegisterAccess.ReadOnly, "value", static d => d.Value },
        { 0x10, 2, RegisterAccess.ReadWrite, "vector", static d => d.Vector, static (d, v) => d.Vector = (ushort)v },
        { 0x14, 1, RegisterAccess.ReadOnly, "status", static d => d.Status },
        { 0x20, 8, RegisterAccess.ReadWrite, "address", static d => d.Address, static (d, v) => d.Address = v },
    };

    private static readonly (ulong Offset, int Width)[] Turns = [(0x00, 4), (0x04, 4), (0x10, 2), (0x14, 1)];

    public string Name => "model";

    public string Title => "Register maps, guest memory and eventfds by themselves";

    public IEnumerable<BenchmarkRow> CreateRows()
    {
        var registers = new Registers();
        yield return BenchmarkRow.Of("register map, read of 4 registers in turn", Operations, () => ReadRegisters(registers)) with
        {
            GoalNanoseconds = 4,
        };
        yield return BenchmarkRow.Of("register map, write", Operations, () => WriteRegisters(registers)) with { GoalNanoseconds = 4 };
        yield return BenchmarkRow.Of("register map, half of a 64-bit register", Operations, () => ReadHalves(registers));
        foreach (int regions in (int[])[1, 2, 4])
        {
            GuestMemory memory = CreateMemory(regions);
            yield return BenchmarkRow.Of($"guest memory, window of 16 bytes, last of {regions} regions", Operations, () => Windows(memory, regions));
            yield return BenchmarkRow.Of(
                $"guest memory, read of 4 bytes with its scope, last of {regions} regions", Operations, () => Reads(memory, regions));
        }

        using var signalled = new EventFd();
        yield return BenchmarkRow.Of("eventfd, signal", Operations, () => Signals(signalled));
    }

    private static GuestMemory CreateMemory(int regions)
    {
        var memory = new GuestMemory();
        var host = HostMemory.AllocateAnonymous(4 << 20);
        for (int i = 0; i < regions; i++)
        {
            memory.Add((ulong)i << 32, host, 0, 4 << 20);
        }

        return memory;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ReadRegisters(Registers registers)
    {
        ulong sum = 0;
        (ulong Offset, int Width)[] turns = Turns;
        for (int i = 0; i < Operations; i++)
        {
            (ulong offset, int width) = turns[i & 3];
            sum ^= Map.Read(registers, offset, width);
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WriteRegisters(Registers registers)
    {
        (ulong Offset, int Width)[] turns = Turns;
        for (int i = 0; i < Operations; i++)
        {
            (ulong offset, int width) = turns[i & 2];
            Map.Write(registers, offset, width, (ulong)i);
        }

        BlackBox.Sink ^= registers.Select;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ReadHalves(Registers registers)
    {
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            sum ^= Map.Read(registers, 0x20 + (ulong)(4 * (i & 1)), 4);
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Windows(GuestMemory memory, int regions)
    {
        ulong sum = 0;
        ulong start = (ulong)(regions - 1) << 32;
        GuestMemoryMap map = memory.Current;
        for (int i = 0; i < Operations; i++)
        {
            if (map.TryGetWindow(start + (ulong)(16 * i), 16, out GuestWindow window))
            {
                sum ^= window.ReadOnce<uint>(8);
            }
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Reads(GuestMemory memory, int regions)
    {
        ulong sum = 0;
        ulong start = (ulong)(regions - 1) << 32;
        for (int i = 0; i < Operations; i++)
        {
            if (memory.TryReadUInt32(start + (ulong)(16 * i), out uint value))
            {
                sum ^= value;
            }
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Signals(EventFd signalled)
    {
        for (int i = 0; i < Operations; i++)
        {
            signalled.Signal();
        }

        signalled.TryConsume(out ulong count);
        BlackBox.Sink ^= count;
    }

    private sealed class Registers
    {
        public uint Select { get; set; }

        public uint Value { get; } = 0x1234;

        public ushort Vector { get; set; }

        public byte Status { get; } = 7;

        public ulong Address { get; set; } = 0x1122_3344_5566_7788;
    }
}
