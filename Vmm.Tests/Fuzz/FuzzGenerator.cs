using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Registers;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Fuzz;

/// <summary>
/// Draws operations: mostly what a driver would do next, with deviations; the rest is any register, any width, any value, anywhere.
/// </summary>
/// <remarks>Never looks at the machine's state after it was made, so that a seed always gives the same operations.</remarks>
internal sealed partial class FuzzGenerator
{
    private static readonly ulong[] Interesting =
    [
        0, 1, 2, 3, 4, 6, 7, 8, 0xb, 0xf, 0x10, 0x40, 0x7f, 0x80, 0x8f, 0xff, 0x100, 0x7fff, 0x8000, 0xc000, 0xfffe, 0xffff, 0x1_0000, 0x7fff_ffff,
        0x8000_0000,
        0xffff_f000, 0xffff_ffff, 0x1_0000_0000, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_f000, 0xffff_ffff_ffff_fff8, 0xffff_ffff_ffff_ffff,
    ];

    private readonly Random _random;
    private readonly FuzzMachine _machine;
    private readonly FunctionModel[] _models;
    private readonly RegisterInfo[] _common = [.. CommonConfigurationRegisters.Map];
    private readonly byte _vcpus;
    private FunctionModel _focus;

    public FuzzGenerator(FuzzMachine machine)
    {
        _machine = machine;
        _random = new Random((int)(machine.Options.Seed * 0x9e37_79b9));
        _vcpus = (byte)machine.Options.Vcpus;
        _models = [.. machine.Functions.Select((f, i) => (f, i)).Where(p => p.f is VirtioPciFunction)
            .Select(p => new FunctionModel(p.i, (VirtioPciFunction)p.f))];
        _focus = _models[0];
    }

    /// <summary>The next operations.</summary>
    public void Generate(List<FuzzOperation> into, int count)
    {
        for (int i = 0; i < count; i++)
        {
            into.Add(Next());
        }
    }

    /// <summary>The reset at the end of a segment was done: drivers begin anew.</summary>
    public void StartOver()
    {
        foreach (FunctionModel model in _models)
        {
            model.Plan.Clear();
            model.IsRunning = false;
        }
    }

    private FuzzOperation Next()
    {
        if (_random.Next(1000) < 4)
        {
            return FromHost();
        }

        if (_random.Next(10) < 3)
        {
            _focus = _models[_random.Next(_models.Length)];
        }

        if (_random.Next(100) < 12)
        {
            return Anything();
        }

        while (_focus.Plan.Count == 0)
        {
            PlanNext(_focus);
        }

        FuzzOperation planned = _focus.Plan.Dequeue();
        return _random.Next(1000) < 8 ? Deviate(planned) : planned;
    }

    private FuzzOperation Deviate(FuzzOperation planned) => _random.Next(6) switch
    {
        0 => planned with { Width = (byte)_random.Next(1, 9) },
        1 => planned with { Value = AnyValue() },
        2 => planned with { Address = planned.Address + (ulong)_random.Next(17) - 8 },
        3 => planned with { Function = (byte)_random.Next(_machine.Functions.Count) },
        4 => planned with { Value = planned.Value ^ (1UL << _random.Next(64)) },
        _ => Anything(),
    };

    private FuzzOperation FromHost()
    {
        ulong region = (ulong)_random.Next(_machine.Ram.Regions);
        return _random.Next(20) switch
        {
            // RAM that most rings lie in goes less often than the rest, and comes back soon.
            0 when region != 0 || _random.Next(8) == 0 => Host(FuzzAction.RamRemove, 0, region),
            1 => Host(FuzzAction.Unplug, 0, 0),
            2 or 3 => Host(FuzzAction.Plug, 0, 0),
            4 or 5 => Host(FuzzAction.RamAdd, 0, 0),
            < 9 => Host(FuzzAction.RamAdd, 0, region),
            < 15 => Host(FuzzAction.Arrive, FuzzMachine.Net, 0) with { Value = (ulong)_random.Next(_random.Next(4) == 0 ? 70_000 : 1600) },
            _ => Host(FuzzAction.Arrive, FuzzMachine.Console, 0) with { Value = (ulong)_random.Next(2048) },
        };
    }

    private FuzzOperation Host(FuzzAction action, int function, ulong address) => new(action, AnyVcpu(), (byte)function, 0, 1, address, 0);

    /// <summary>Any register, width and value, without a plan.</summary>
    private FuzzOperation Anything()
    {
        byte function = (byte)_random.Next(_machine.Functions.Count);
        byte width = (byte)(_random.Next(4) == 0 ? _random.Next(1, 9) : 1 << _random.Next(4));
        bool write = _random.Next(2) == 0;
        FunctionModel model = _models[_random.Next(_models.Length)];
        switch (_random.Next(100))
        {
            case < 30:
                // A register of the common configuration by its natural width, or nearly.
                RegisterInfo register = _common[_random.Next(_common.Length)];
                ulong offset = (ulong)(register.Offset + (_random.Next(8) == 0 ? _random.Next(-3, 4) : 0));
                return Bar(model, write, _random.Next(8) == 0 ? width : (byte)register.Width, model.Common + offset, RegisterValue(register.Name));
            case < 50:
                return new FuzzOperation(
                    write ? FuzzAction.BarWrite : FuzzAction.BarRead, AnyVcpu(), function, (byte)_random.Next(4), width, AnyBarOffset(model),
                    AnyValue());
            case < 58:
                return new FuzzOperation(FuzzAction.ConfigRead, AnyVcpu(), function, 0, width, AnyConfigurationOffset(), 0);
            case < 61:
                return new FuzzOperation(FuzzAction.ConfigWrite, AnyVcpu(), function, 0, width, AnyConfigurationOffset(), AnyValue());
            case < 68:
                return Port(write);
            case < 73:
                return new FuzzOperation(
                    write ? FuzzAction.MemoryWrite : FuzzAction.MemoryRead, AnyVcpu(), function, 0, width, AnyAddress(), AnyValue());
            case < 78:
                return Table(model, write, width);
            case < 84:
                return Bar(model, true, (byte)(_random.Next(2) == 0 ? 2 : width), model.Notify + (ulong)_random.Next(24), AnyValue());
            case < 88:
                return Bar(model, false, 1, model.Isr, 0);
            case < 92:
                return Bar(model, write, width, model.Configuration + (ulong)_random.Next(Math.Max(1, model.ConfigurationLength) + 4), AnyValue());
            default:
                return AnyRam(model);
        }
    }

    private FuzzOperation AnyRam(FunctionModel model)
    {
        // Somewhere in the areas of a queue: a descriptor, an index, a flag, an event.
        QueueModel queue = model.Queues[_random.Next(model.Queues.Length)];
        ulong area = _random.Next(4) switch { 0 => queue.Descriptors, 1 => queue.Driver, 2 => queue.Device, _ => queue.Home };
        ulong at = area + (ulong)_random.Next(_random.Next(2) == 0 ? 16 : 0x1000);
        return new FuzzOperation(FuzzAction.RamWrite, AnyVcpu(), (byte)model.Index, 0, (byte)(1 << _random.Next(4)), at, AnyValue());
    }

    private FuzzOperation Table(FunctionModel model, bool write, byte width)
    {
        ulong at = model.Table + (ulong)(_random.Next(model.Vectors + 1) * 16) + (ulong)(_random.Next(4) * 4);
        return Bar(model, write, _random.Next(4) == 0 ? width : (byte)4, at, _random.Next(2) == 0 ? (ulong)_random.Next(2) : AnyValue());
    }

    private FuzzOperation Port(bool write)
    {
        if (_random.Next(2) == 0)
        {
            return new FuzzOperation(
                write ? FuzzAction.PortWrite : FuzzAction.PortRead, AnyVcpu(), 0, 0, (byte)(1 << _random.Next(3)), (ulong)_random.Next(0x10000),
                AnyValue());
        }

        // The configuration ports: an address that may exist, or data.
        if (_random.Next(2) == 0)
        {
            ulong address = (_random.Next(8) == 0 ? 0UL : 0x8000_0000UL) + ((ulong)_random.Next(2) << 16) + ((ulong)_random.Next(48) << 8)
                + (ulong)_random.Next(256);
            return new FuzzOperation(FuzzAction.PortWrite, AnyVcpu(), 0, 0, (byte)(_random.Next(4) == 0 ? 1 << _random.Next(3) : 4), 0xcf8, address);
        }

        bool reads = !write || _random.Next(4) != 0;
        return new FuzzOperation(
            reads ? FuzzAction.PortRead : FuzzAction.PortWrite, AnyVcpu(), 0, 0, (byte)(1 << _random.Next(3)), 0xcfc + (ulong)_random.Next(4),
            AnyValue());
    }

    private FuzzOperation Bar(FunctionModel model, bool write, byte width, ulong offset, ulong value)
    {
        return new FuzzOperation(write ? FuzzAction.BarWrite : FuzzAction.BarRead, VcpuOf(model), (byte)model.Index, 0, width, offset, value);
    }

    private ulong RegisterValue(string name) => name switch
    {
        "device_status" => _random.Next(6) switch { 0 => 0, 1 => 1, 2 => 3, 3 => 0xb, 4 => 0xf, _ => AnyValue() },
        "queue_select" or "device_feature_select" or "driver_feature_select" => (ulong)_random.Next(5),
        "queue_enable" or "queue_reset" => (ulong)_random.Next(2),
        "queue_size" => (ulong)(1 << _random.Next(10)),
        "queue_msix_vector" or "config_msix_vector" => _random.Next(4) == 0 ? 0xffff : (ulong)_random.Next(6),
        "queue_desc" or "queue_driver" or "queue_device" => AnyRamAddress(),
        _ => AnyValue(),
    };

    private ulong AnyValue() => _random.Next(4) switch
    {
        0 => Interesting[_random.Next(Interesting.Length)],
        1 => (ulong)_random.Next(8),
        2 => AnyRamAddress(),
        _ => (ulong)_random.NextInt64() << _random.Next(2),
    };

    /// <summary>An address in RAM, near one of its ends, or in a hole.</summary>
    private ulong AnyRamAddress()
    {
        (ulong address, ulong length) = FuzzRam.Layout[_random.Next(FuzzRam.Layout.Length)];
        return _random.Next(4) switch
        {
            0 => address + length - (ulong)_random.Next(64),
            1 => address - (ulong)_random.Next(64),
            _ => address + (ulong)_random.NextInt64((long)length),
        };
    }

    private ulong AnyAddress() => _random.Next(4) switch
    {
        0 => AnyRamAddress(),
        1 => FuzzMachine.EcamBase + (ulong)_random.Next(16 << 20),
        2 => 0xc000_0000 + (ulong)_random.Next(0x1000_0000),
        _ => (ulong)_random.NextInt64() << _random.Next(2),
    };

    private ulong AnyConfigurationOffset() => (ulong)(_random.Next(8) == 0 ? _random.Next(4096) : _random.Next(256));

    private ulong AnyBarOffset(FunctionModel model) => _random.Next(8) switch
    {
        0 => (ulong)_random.NextInt64((long)model.BarSize),
        1 => model.BarSize - (ulong)_random.Next(16),
        2 => ((ulong)_random.Next(8) << 12) + (ulong)_random.Next(17) - 8,
        _ => (ulong)_random.Next(64),
    };

    private byte AnyVcpu() => (byte)_random.Next(_vcpus);

    /// <summary>A driver mostly keeps to one vCPU, so that its steps come in order.</summary>
    private byte VcpuOf(FunctionModel model) => _random.Next(16) == 0 ? AnyVcpu() : (byte)(model.Index % _vcpus);

    /// <summary>A register of a BAR, or of the ROM, gets an address.</summary>
    private ulong AnyBarAddress(ulong size) => _random.Next(8) switch
    {
        0 => AnyAddress() & ~(size - 1),
        1 => ulong.MaxValue,
        _ => (0xc000_0000 + ((ulong)_random.Next(64) * 0x8000)) & ~(size - 1),
    };
}
