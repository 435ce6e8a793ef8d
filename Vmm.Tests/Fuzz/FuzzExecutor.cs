using System;
using System.Buffers.Binary;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Fuzz;

/// <summary>Does operations on a machine in process.</summary>
/// <remarks>From any thread, several at once.</remarks>
internal sealed class FuzzExecutor
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(1);

    private readonly FuzzMachine _machine;
    private readonly PciBar[][] _bars;
    private readonly bool[] _impatient;
    private readonly DeviceStatus[] _lastStatus;

    public FuzzExecutor(FuzzMachine machine)
    {
        _machine = machine;
        _bars = new PciBar[machine.Functions.Count][];
        _impatient = new bool[_bars.Length];
        _lastStatus = new DeviceStatus[_bars.Length];
        for (int i = 0; i < _bars.Length; i++)
        {
            _bars[i] = [.. machine.Functions[i].Bars];
        }
    }

    public void Execute(in FuzzOperation operation)
    {
        int width = Math.Clamp((int)operation.Width, 1, 8);
        switch (operation.Action)
        {
            case FuzzAction.ConfigRead or FuzzAction.BarRead or FuzzAction.MemoryRead or FuzzAction.PortRead:
                if (TryResolve(operation, out AddressSpace? space, out ulong address))
                {
                    space.Read(address, width);
                }

                break;
            case FuzzAction.ConfigWrite or FuzzAction.BarWrite or FuzzAction.MemoryWrite or FuzzAction.PortWrite:
                if (TryResolve(operation, out space, out address))
                {
                    space.Write(address, width, operation.Value);
                    Observe(operation.Function);
                }

                break;
            case FuzzAction.RamWrite:
                Span<byte> bytes = stackalloc byte[8];
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, operation.Value);
                _machine.Ram.Guest.TryWrite(operation.Address, bytes[..width]);
                break;
            case FuzzAction.RamFill:
                Span<byte> fill = stackalloc byte[0x1000];
                fill.Fill((byte)operation.Value);
                _machine.Ram.Guest.TryWrite(operation.Address, fill[..(int)Math.Min(operation.Value >> 32, (ulong)fill.Length)]);
                break;
            case FuzzAction.Await:
                Await(operation);
                break;
            default:
                ExecuteFromHost(operation);
                break;
        }
    }

    /// <summary>Where in which space an access goes, as things are now.</summary>
    public bool TryResolve(in FuzzOperation operation, out AddressSpace space, out ulong address)
    {
        space = _machine.Memory;
        address = operation.Address;
        int function = operation.Function % _bars.Length;
        switch (operation.Action)
        {
            case FuzzAction.PortRead or FuzzAction.PortWrite:
                space = _machine.Ports;
                address = (ushort)address;
                return true;
            case FuzzAction.MemoryRead or FuzzAction.MemoryWrite:
                return true;
            case FuzzAction.ConfigRead or FuzzAction.ConfigWrite:
                address = _machine.ConfigurationOf(function) + (address & 0xfff);
                return true;
            default:
                PciBar[] bars = _bars[function];
                if (bars.Length == 0)
                {
                    return false;
                }

                PciBar bar = bars[operation.Bar % bars.Length];
                PciFunction owner = _machine.Functions[function];
                ulong start = owner.GetMappedAddress(bar.Index) ?? owner.GetBarAddress(bar.Index);
                if (bar.Kind == PciBarKind.Io)
                {
                    space = _machine.Ports;
                    address = (ushort)(start + address);
                    return true;
                }

                address = start + address;
                return true;
        }
    }

    /// <summary>What only the host does.</summary>
    public void ExecuteFromHost(in FuzzOperation operation)
    {
        int region = (int)(operation.Address % (ulong)_machine.Ram.Regions);
        switch (operation.Action)
        {
            case FuzzAction.RamAdd:
                _machine.Ram.Add(region);
                break;
            case FuzzAction.RamRemove:
                _machine.Ram.Remove(region);
                break;
            case FuzzAction.Arrive when operation.Function == FuzzMachine.Net:
                _machine.NetBackend.Arrive(new byte[operation.Value % 70_000]);
                break;
            case FuzzAction.Arrive:
                _machine.ConsoleBackend.Arrive(new byte[operation.Value % 2048]);
                break;
            case FuzzAction.Unplug:
                _machine.Unplug();
                break;
            case FuzzAction.Plug:
                _machine.Plug();
                break;
        }
    }

    /// <summary>Counts the states that a write may have led to.</summary>
    public void Observe(int number)
    {
        int function = number % _bars.Length;
        if (_machine.Functions[function] is not VirtioPciFunction virtio)
        {
            return;
        }

        DeviceStatus now = virtio.DeviceStatus;
        DeviceStatus appeared = now & ~_lastStatus[function];
        _lastStatus[function] = now;
        if ((appeared & DeviceStatus.DriverOk) != 0)
        {
            Interlocked.Increment(ref _machine.Counts.Started);
            _impatient[function] = false;
        }

        if ((appeared & DeviceStatus.NeedsReset) != 0)
        {
            Interlocked.Increment(ref _machine.Counts.NeedsReset);
        }
    }

    private void Await(in FuzzOperation operation)
    {
        int function = operation.Function % _bars.Length;
        if (_impatient[function])
        {
            return;
        }

        long start = Environment.TickCount64;
        Span<byte> bytes = stackalloc byte[2];
        var spin = new SpinWait();
        while (_machine.Ram.Guest.TryRead(operation.Address, bytes))
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(bytes) == (ushort)operation.Value)
            {
                Interlocked.Increment(ref _machine.Counts.Completed);
                return;
            }

            if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
            {
                break;
            }

            spin.SpinOnce(sleep1Threshold: -1);
        }

        // A ring that does not answer is not waited for again until the device has started anew.
        _impatient[function] = true;
    }
}
