using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Capabilities;

namespace Vmm.Benchmarks.Pci;

/// <summary>The MSI-X table and the interrupt path, to a sink that counts.</summary>
internal sealed class MsixArea : IBenchmarkArea
{
    private const int Operations = 4096;
    private const string Peer = "cloud-hypervisor";
    private const ulong Bar = BenchmarkMachine.FirstBar + (16 * BenchmarkMachine.BarLength);
    private readonly BenchmarkMachine _machine = new();
    private readonly MsixCapability _msix;
    private readonly IRegionHandler _table;

    [SuppressMessage("Performance", "CA1859", Justification = "called as devices call it: through the interface")]
    private readonly IInterruptVector _vector;

    public MsixArea()
    {
        _msix = _machine.Function(16).Msix!;
        _table = _msix.TableHandler;
        _vector = _msix[1];
    }

    public string Name => "msix";

    public string Title => "MSI-X: table and interrupts, 33 vectors";

    public IEnumerable<BenchmarkRow> CreateRows()
    {
        SetUp(enabled: false);
        yield return BenchmarkRow.Of("table: write, entry unchanged", Operations, WriteUnchanged);
        yield return BenchmarkRow.Of("table: write, data changed", Operations, WriteData);
        yield return BenchmarkRow.Of("table: write, whole entries in turn", Operations, WriteInTurn);
        yield return BenchmarkRow.Of("table: read", Operations, ReadTable);
        SetUp(enabled: true);
        yield return BenchmarkRow.Of("table: mask and unmask", Operations, MaskAndUnmask);
        yield return BenchmarkRow.Of("whole path: write, data changed", Operations, WholeWrite).Against(Peer, 71.5, 30);
        yield return BenchmarkRow.Of("whole path: read", Operations, WholeRead);
        yield return BenchmarkRow.Of("trigger, unmasked, to the sink", Operations, Trigger).Against(Peer, 26.8, 15);
        _table.Write(16 + 12, 4, 1);
        yield return BenchmarkRow.Of("trigger, masked, pending bit", Operations, Trigger);
        _table.Write(16 + 12, 4, 0);
        _vector.GetEventFd();
        yield return BenchmarkRow.Of("table: write, enabled, with a route, data changed", Operations, WriteData);
    }

    private void SetUp(bool enabled)
    {
        _machine.Function(16).WriteConfiguration(_msix.Offset + 2, 2, enabled ? 0x8000u : 0);
        _table.Write(16 + 12, 4, enabled ? 0u : 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteUnchanged()
    {
        for (int i = 0; i < Operations; i++)
        {
            _table.Write(16 + 8, 4, 0);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteData()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _table.Write(16 + 8, 4, i & 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteInTurn()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _table.Write(4 * (i % 128), 4, i & ~1u);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReadTable()
    {
        ulong sum = 0;
        for (uint i = 0; i < Operations; i++)
        {
            sum ^= _table.Read(4 * (i & 127), 4) + i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void MaskAndUnmask()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _table.Write(16 + 12, 4, i & 1);
        }

        _table.Write(16 + 12, 4, 0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WholeWrite()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _machine.Memory.Write(Bar + BenchmarkMachine.TableOffset + 16 + 8, 4, i & 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WholeRead()
    {
        ulong sum = 0;
        for (uint i = 0; i < Operations; i++)
        {
            sum ^= _machine.Memory.Read(Bar + BenchmarkMachine.TableOffset + (4 * (i & 15)), 4) + i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Trigger()
    {
        for (int i = 0; i < Operations; i++)
        {
            _vector.Signal();
        }

        BlackBox.Sink ^= _machine.Messages;
    }
}
