using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Vmm.Benchmarks.Harness;
using Vmm.Pci;

namespace Vmm.Benchmarks.Pci;

/// <summary>Configuration accesses: of one function by itself, and the whole path from the bus.</summary>
/// <remarks>
/// Our BARs are six regions each where a peer's is one range, so the address space that is searched has 187 segments instead of 32.
/// </remarks>
internal sealed class PciArea : IBenchmarkArea
{
    private const int Operations = 4096;
    private const string Peer = "cloud-hypervisor";
    private readonly BenchmarkMachine _machine = new();
    private readonly PciFunction _function = BenchmarkMachine.CreateFunction();

    public string Name => "pci";

    public string Title => "PCI: configuration space, alone and through a bus with 32 functions";

    public IEnumerable<BenchmarkRow> CreateRows()
    {
        yield return BenchmarkRow.Of("function: read registers 0 to 15 in turn", Operations, ReadRegisters);
        yield return BenchmarkRow.Of("function: write COMMAND word", Operations, WriteCommand);
        yield return BenchmarkRow.Of("function: write interrupt line", Operations, WriteInterruptLine);
        yield return BenchmarkRow.Of("function: write a read-only register", Operations, WriteReadOnly);
        yield return BenchmarkRow.Of("function: probe a BAR's size, per access", Operations * 3, ProbeSize);
        yield return BenchmarkRow.Of("ECAM dword read, one function", Operations, EcamReadOne).Against(Peer, 82.6, 15);
        yield return BenchmarkRow.Of("ECAM dword read, functions 0 to 31", Operations, EcamReadAll).Against(Peer, 82.6, 15);
        yield return BenchmarkRow.Of("ECAM COMMAND write", Operations, EcamWriteCommand).Against(Peer, 84.9, 25);
        yield return BenchmarkRow.Of("0xcf8 and 0xcfc, a pair", Operations, PortRead).Against(Peer, 135, 35);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReadRegisters()
    {
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            sum ^= _function.ReadConfiguration(4 * (i & 15), 4) + (ulong)i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteCommand()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _function.WriteConfiguration(4, 2, 0x0406 | (i & 1));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteInterruptLine()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _function.WriteConfiguration(0x3c, 1, i & 0xff);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteReadOnly()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _function.WriteConfiguration(0, 4, i);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ProbeSize()
    {
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            _function.WriteConfiguration(0x10, 4, uint.MaxValue);
            sum ^= _function.ReadConfiguration(0x10, 4) + (ulong)i;
            _function.WriteConfiguration(0x10, 4, (uint)BenchmarkMachine.FirstBar);
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EcamReadOne()
    {
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            sum ^= _machine.Memory.Read(BenchmarkMachine.Ecam + (16ul << 15) + (ulong)(4 * (i & 15)), 4) + (ulong)i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EcamReadAll()
    {
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            sum ^= _machine.Memory.Read(BenchmarkMachine.Ecam + ((ulong)(i & 31) << 15), 4) + (ulong)i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EcamWriteCommand()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _machine.Memory.Write(BenchmarkMachine.Ecam + (16ul << 15) + 4, 2, 0x0406 | (i & 1));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void PortRead()
    {
        ulong sum = 0;
        for (uint i = 0; i < Operations; i++)
        {
            _machine.Ports.Write(0xcf8, 4, 0x8000_0000 | (16 << 11) | ((i & 15) << 2));
            sum ^= _machine.Ports.Read(0xcfc, 4) + i;
        }

        BlackBox.Sink ^= sum;
    }
}
