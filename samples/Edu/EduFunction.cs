using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;

namespace Samples.Edu;

/// <summary>QEMU's device to learn on (docs/specs/edu.rst there): it computes factorials and copies by DMA, and interrupts when done.</summary>
public sealed class EduFunction : PciFunction
{
    public const int MemoryLength = 4096;
    public const ulong MemoryAddress = 0x40000;
    private const uint Busy = 1;
    private const uint Claimed = 2;
    private const uint RaiseWhenComputed = 0x80;
    private const uint ToGuest = 2;
    private const uint RaiseWhenCopied = 4;

    private static readonly RegisterMap<EduFunction> Registers = new("edu", length: 0xa0, gap: RegisterGap.Ones)
    {
        { 0x00, 4, RegisterAccess.ReadOnly, "identification", static _ => 0x0100_00ed },
        { 0x04, 4, RegisterAccess.ReadWrite, "liveness", static d => d._state.Liveness, static (d, v) => d._state.Liveness = ~(uint)v },
        { 0x08, 4, RegisterAccess.ReadWrite, "factorial", static d => d._state.Factorial, static (d, v) => d.StartComputing((uint)v) },
        { 0x20, 4, RegisterAccess.ReadWrite, "status",
            static d => (d._state.Computing & Busy) | d._state.Raising, static (d, v) => d._state.Raising = (uint)v & RaiseWhenComputed },
        { 0x24, 4, RegisterAccess.ReadOnly, "interrupt_status", static d => d._state.Interrupts },
        { 0x60, 4, RegisterAccess.WriteOnly, "interrupt_raise", static (d, v) => d.Interrupt((uint)v, 0) },
        { 0x64, 4, RegisterAccess.WriteOnly, "interrupt_acknowledge", static (d, v) => d.Interrupt(0, (uint)v) },
        { 0x80, 8, RegisterAccess.ReadWrite, "dma_source", static d => d._state.Source, static (d, v) => d._state.Source = v },
        { 0x88, 8, RegisterAccess.ReadWrite, "dma_destination", static d => d._state.Destination, static (d, v) => d._state.Destination = v },
        { 0x90, 8, RegisterAccess.ReadWrite, "dma_count", static d => d._state.Count, static (d, v) => d._state.Count = v },
        { 0x98, 8, RegisterAccess.ReadWrite, "dma_command", static d => d._state.Command, static (d, v) => d.StartCopying(v) },
    };

    // Held for a step of the worker, which is short, and by whoever saves or replaces the state. No access to a register takes it.
    private readonly Lock _step = new();
    private readonly IRegisterBlock _registers;
    private readonly Worker _worker;
    private volatile EduState _state = new();

    public EduFunction(string name, DmaTarget dma)
        : base(new PciIdentity { VendorId = 0x1234, DeviceId = 0x11e8, ClassCode = 0xff00, SubsystemVendorId = 0x1af4, SubsystemId = 0x1100 },
            new PciFunctionOptions { Name = name, Pin = InterruptPin.A, Dma = dma })
    {
        _registers = Registers.Bind(this);
        AddBar(new PciBar(0, PciBarKind.Memory32, 1 << 20, [new PciBarRegion("edu", 0, (ulong)Registers.Length, _registers)]));
        AddCapability(new MsiCapability(vectorCount: 1));
        Components = [new Device(this)];
        _worker = new Worker(name);
        _worker.Start();
    }

    protected override IReadOnlyList<IComponent> Components { get; }
    protected override void OnReset() => Replace(new EduState());

    protected override void Dispose(bool disposing)
    {
        _worker.Dispose();
        base.Dispose(disposing);
    }

    private void StartComputing(uint operand)
    {
        EduState state = _state;
        if (Interlocked.CompareExchange(ref state.Computing, Claimed, 0) == 0)
        {
            state.Factorial = operand;
            Volatile.Write(ref state.Computing, Busy);
            _worker.Post(Work);
        }
    }

    private void StartCopying(ulong command)
    {
        ulong before = Volatile.Read(ref _state.Command);
        if ((before & Busy) == 0 && Interlocked.CompareExchange(ref _state.Command, command & 7, before) == before)
        {
            _worker.Post(Work);
        }
    }

    private void Work()
    {
        lock (_step)
        {
            EduState state = _state;
            if (state.Computing == Busy)
            {
                // Of 34 and above 32 bits are left with nothing: no operand keeps the worker for long.
                uint product = 1;
                for (uint factor = state.Factorial; factor > 1 && product != 0; factor--)
                {
                    product *= factor;
                }

                state.Factorial = product;
                Volatile.Write(ref state.Computing, 0);
                Interrupt(state.Raising != 0 ? 1u : 0, 0);
            }

            if ((state.Command & Busy) != 0)
            {
                Copy(state, (state.Command & ToGuest) != 0, state.Source, state.Destination, state.Count);
                state.Command &= ~(ulong)Busy;
                Interrupt((state.Command & RaiseWhenCopied) != 0 ? 0x100u : 0, 0);
            }
        }
    }

    // One that leaves the device's memory does nothing; below its start the difference is larger than any count.
    private void Copy(EduState state, bool toGuest, ulong source, ulong destination, ulong count)
    {
        ulong start = (toGuest ? source : destination) - MemoryAddress;
        if (count <= MemoryLength && start <= MemoryLength - count)
        {
            Span<byte> bytes = state.Memory.AsSpan((int)start, (int)count);
            _ = toGuest ? Dma!.TryWrite(destination, bytes) : Dma!.TryRead(source, bytes);
        }
    }

    private void Interrupt(uint raised, uint acknowledged)
    {
        Interlocked.And(ref _state.Interrupts, ~acknowledged);
        Interlocked.Or(ref _state.Interrupts, raised);
        if (raised != 0)
        {
            Msi![0].Signal();
        }

        // Once more if another thread changed the reasons meanwhile: whoever sets the level last has seen them as they are.
        for (uint? seen = null; seen != _state.Interrupts;)
        {
            seen = _state.Interrupts;
            Intx.SetLevel(seen != 0);
        }
    }

    private void Replace(EduState state)
    {
        lock (_step)
        {
            _state = state;
        }

        // What was under way when it was saved goes on.
        _worker.Post(Work);
        Interrupt(0, 0);
    }

    private sealed class Device(EduFunction function) : IComponent
    {
        public string Name => "edu";

        public void Inspect(InspectionNode node) => function._registers.Inspect(node);

        public SavedState Save()
        {
            lock (function._step)
            {
                return SavedState.Of(Name, 1, function._state, EduJson.Default.EduState);
            }
        }

        public Action PrepareRestore(SavedState saved)
        {
            EduState state = saved.Read(Name, 1, EduJson.Default.EduState);
            SavedState.Require(state.Computing <= Busy, "Computing", "0 or 1", state.Computing);
            SavedState.Require(state.Memory.Length == MemoryLength, "Memory", $"{MemoryLength} bytes", state.Memory.Length);
            return () => function.Replace(state);
        }
    }
}
