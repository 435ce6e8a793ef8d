using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using Iced.Intel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.Kvm;
using Vmm.Tests.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Fuzz;

/// <summary>
/// Does operations as a guest: each vCPU runs a small loop over a table of accesses in its RAM, which is filled again batch by batch.
/// </summary>
/// <remarks>
/// A table entry is where the code for the access is, the address, and the value. The end of a table is a write to a port; its effect, after
/// that access, waits for the next batch. What no guest of this kind reaches (above 4 GiB) and what is the host's is done between batches.
/// </remarks>
internal sealed class KvmRunner : IFuzzRunner
{
    private const ulong Next = 0x2800;
    private const ulong Code = 0x3000;
    private const ulong CodeStride = 0x20;
    private const ulong Tables = TestMachine.DataAddress;
    private const ulong TableLength = 0x8000;
    private const int EntryLength = 32;
    private const int Batch = 256;
    private const ulong Reachable = 1UL << 32;
    private const ushort BatchPort = 0xf8;
    private static readonly TimeSpan Patience = KvmAvailability.Patience(60);

    private readonly TestMachine _guest;
    private readonly FuzzExecutor _executor;
    private readonly FuzzMachine _machine;
    private readonly BatchEnd[] _ends;
    private readonly int[] _filled;

    public KvmRunner(FuzzMachine machine, TestMachine guest)
    {
        _machine = machine;
        _guest = guest;
        _executor = new FuzzExecutor(machine);
        _ends = [.. guest.Machine.Vcpus.Select(_ => new BatchEnd(guest.Memory.Domain))];
        _filled = new int[_ends.Length];
        Assemble();
        guest.Group.Start();
        WaitForAll();
    }

    /// <summary>The code of an access: 1 to 8 bytes read or written in memory, 1 to 4 at a port, or the end of a table.</summary>
    private enum Kind
    {
        Read1,
        Read2,
        Read4,
        Read8,
        Write1,
        Write2,
        Write4,
        Write8,
        In1,
        In2,
        In4,
        Out1,
        Out2,
        Out4,
        End,
    }

    public void Run(IReadOnlyList<FuzzOperation> operations, IReadOnlyList<FuzzProgress> progress)
    {
        for (int i = 0; i < operations.Count; i++)
        {
            progress[0].Begin(i);
            FuzzOperation operation = operations[i];
            if (!TryFill(operation))
            {
                // What the batch did may have moved the place that the operation aims at, to where the loop lies, too.
                RunBatch();
                if (!HitsLoop(operation))
                {
                    _executor.Execute(operation);
                }
            }
            else if (_filled.Max() == Batch)
            {
                RunBatch();
            }
        }

        RunBatch();
        progress[0].End();
    }

    public void Dispose()
    {
        _guest.Group.RequestStop(VmStopReason.PowerOff);
        foreach (BatchEnd end in _ends)
        {
            end.Quit();
        }

        _guest.Group.Stop();
    }

    /// <summary>Whether an access goes to the memory that the loop lies in, as things are now.</summary>
    private bool HitsLoop(in FuzzOperation operation)
    {
        return operation.Action is FuzzAction.BarRead or FuzzAction.BarWrite or FuzzAction.MemoryRead or FuzzAction.MemoryWrite
            && _executor.TryResolve(operation, out AddressSpace space, out ulong address)
            && space != _guest.Ports
            && address < TestMachine.RamSize;
    }

    /// <summary>Puts an access into a vCPU's table; false if it is none that a guest makes.</summary>
    private bool TryFill(in FuzzOperation operation)
    {
        bool write = operation.Action
            is FuzzAction.ConfigWrite or FuzzAction.BarWrite or FuzzAction.MemoryWrite or FuzzAction.PortWrite or FuzzAction.RamWrite;
        if (operation.IsFromHost || operation.Action is FuzzAction.Await or FuzzAction.RamFill)
        {
            return false;
        }

        AddressSpace space = _guest.Memory;
        ulong address = operation.Address;
        if (operation.Action != FuzzAction.RamWrite && !_executor.TryResolve(operation, out space, out address))
        {
            return true;
        }

        int size = Math.Min(operation.Width <= 1 ? 0 : operation.Width == 2 ? 1 : operation.Width <= 4 ? 2 : 3, space == _guest.Ports ? 2 : 3);
        if (space == _guest.Ports)
        {
            // The port that ends a batch is nobody's to play with.
            if (address + 4 > BatchPort && address < BatchPort + 8)
            {
                return true;
            }

            Fill(operation.Vcpu, (write ? Kind.Out1 : Kind.In1) + size, address, operation.Value);
            return true;
        }

        // Nor is the memory that the loop itself lies in.
        if (address < TestMachine.RamSize || address > ulong.MaxValue - 8)
        {
            return true;
        }

        if (address >= Reachable - 8)
        {
            return false;
        }

        Fill(operation.Vcpu, (write ? Kind.Write1 : Kind.Read1) + size, address, operation.Value);
        return true;
    }

    private void Fill(int vcpu, Kind kind, ulong address, ulong value)
    {
        vcpu %= _ends.Length;
        Span<byte> entry = _guest.Bytes.Slice((int)(Tables + (TableLength * (ulong)vcpu)) + (_filled[vcpu]++ * EntryLength), EntryLength);
        BitConverter.TryWriteBytes(entry, Code + (CodeStride * (ulong)kind)).Should().BeTrue();
        BitConverter.TryWriteBytes(entry[8..], address).Should().BeTrue();
        BitConverter.TryWriteBytes(entry[16..], value).Should().BeTrue();
    }

    private void RunBatch()
    {
        if (_filled.All(static f => f == 0))
        {
            return;
        }

        for (int vcpu = 0; vcpu < _ends.Length; vcpu++)
        {
            Fill(vcpu, Kind.End, 0, 0);
        }

        Array.Clear(_filled);
        foreach (BatchEnd end in _ends)
        {
            end.Go();
        }

        WaitForAll();
        for (int i = 0; i < _machine.Functions.Count; i++)
        {
            _executor.Observe(i);
        }
    }

    private void WaitForAll()
    {
        foreach (BatchEnd end in _ends)
        {
            long start = Stopwatch.GetTimestamp();
            while (!end.WaitDone(TimeSpan.FromMilliseconds(100)))
            {
                ThrowIfEnded();
                if (Stopwatch.GetElapsedTime(start) > Patience)
                {
                    _guest.Group.Pause();
                    throw new TimeoutException(
                        $"a batch did not end in {Patience.TotalSeconds} s:\n{string.Join('\n', _guest.Machine.Vcpus.Select(VcpuDump.Describe))}");
                }
            }
        }

        ThrowIfEnded();
    }

    /// <summary>One vCPU that ends leaves the others waiting for the next batch, so that the group never completes.</summary>
    private void ThrowIfEnded()
    {
        if (_guest.Group.Loops.Select(static loop => loop.StopReason).FirstOrDefault(static reason => reason is not null) is VmStopReason reason)
        {
            throw new InvalidOperationException($"the guest does not go on: {reason}");
        }
    }

    private void Assemble()
    {
        for (int vcpu = 0; vcpu < _ends.Length; vcpu++)
        {
            ulong table = Tables + (TableLength * (ulong)vcpu);
            int port = BatchPort + vcpu;
            _guest.Load(
                64,
                a =>
                {
                    a.mov(r8, table);
                    a.mov(r9d, port);
                    a.jmp(Code + (CodeStride * (ulong)Kind.End));
                },
                TestMachine.CodeAddress + (0x400u * (uint)vcpu),
                vcpu);
            _guest.Ports.Add(new HandlerClaim($"batch{vcpu}", 1, _ends[vcpu], ClaimPriority.Platform), (ulong)port);
        }

        _guest.Assemble(
            64,
            a =>
            {
                a.mov(rcx, __qword_ptr[rsi]);
                a.mov(rdi, __qword_ptr[rsi + 8]);
                a.mov(rax, __qword_ptr[rsi + 16]);
                a.mov(edx, edi);
                a.add(rsi, EntryLength);
                a.jmp(rcx);
            },
            Next);
        foreach (Kind kind in Enum.GetValues<Kind>())
        {
            _guest.Assemble(64, a => Access(a, kind), Code + (CodeStride * (ulong)kind));
        }
    }

    private static void Access(Assembler a, Kind kind)
    {
        switch (kind)
        {
            case Kind.Read1:
                a.mov(al, __byte_ptr[rdi]);
                break;
            case Kind.Read2:
                a.mov(ax, __word_ptr[rdi]);
                break;
            case Kind.Read4:
                a.mov(eax, __dword_ptr[rdi]);
                break;
            case Kind.Read8:
                a.mov(rax, __qword_ptr[rdi]);
                break;
            case Kind.Write1:
                a.mov(__byte_ptr[rdi], al);
                break;
            case Kind.Write2:
                a.mov(__word_ptr[rdi], ax);
                break;
            case Kind.Write4:
                a.mov(__dword_ptr[rdi], eax);
                break;
            case Kind.Write8:
                a.mov(__qword_ptr[rdi], rax);
                break;
            case Kind.In1:
                a.@in(al, dx);
                break;
            case Kind.In2:
                a.@in(ax, dx);
                break;
            case Kind.In4:
                a.@in(eax, dx);
                break;
            case Kind.Out1:
                a.@out(dx, al);
                break;
            case Kind.Out2:
                a.@out(dx, ax);
                break;
            case Kind.Out4:
                a.@out(dx, eax);
                break;
            case Kind.End:
                a.mov(edx, r9d);
                a.@out(dx, al);
                a.mov(rsi, r8);
                break;
        }

        a.jmp(Next);
    }

    /// <summary>Where a vCPU is between two batches: after the access, so that nobody waits for it.</summary>
    private sealed class BatchEnd : IRegionHandler
    {
        private readonly AccessDomain _domain;
        private readonly Action _wait;
        private readonly SemaphoreSlim _go = new(0);
        private readonly SemaphoreSlim _done = new(0);
        private volatile bool _quit;

        public BatchEnd(AccessDomain domain)
        {
            _domain = domain;
            _wait = Wait;
        }

        public void Go() => _go.Release();

        public bool WaitDone(TimeSpan patience) => _done.Wait(patience);

        public void Quit()
        {
            _quit = true;
            _go.Release();
        }

        public ulong Read(ulong offset, int width) => 0;

        public void Write(ulong offset, int width, ulong value) => _domain.RunAfterAccess(_wait);

        private void Wait()
        {
            if (!_quit)
            {
                _done.Release();
                _go.Wait();
            }
        }
    }
}
