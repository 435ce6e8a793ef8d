using System;
using System.Numerics;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Fuzz;

/// <content>What a driver does, in the order in which a driver does it.</content>
internal sealed partial class FuzzGenerator
{
    private void PlanNext(FunctionModel model)
    {
        if (!model.IsRunning || _random.Next(100) < 4)
        {
            PlanStart(model);
            return;
        }

        switch (_random.Next(1000))
        {
            case < 800:
                PlanRequests(model);
                break;
            case < 830:
                PlanMove(model);
                break;
            case < 850:
                // Bus mastering off and on again.
                Config(model, 4, 2, 2);
                Config(model, 4, 2, 6);
                break;
            case < 870:
                Config(model, 4, 2, 0x406);
                Read(model, 1, model.Isr);
                Config(model, 4, 2, 6);
                break;
            case < 900:
                PlanWindow(model);
                break;
            case < 920:
                PlanQueueReset(model);
                break;
            case < 930:
                Common(model, Reg.DeviceStatus, 1, 0);
                model.IsRunning = false;
                break;
            case < 940 when model.PowerManagement != 0:
                Config(model, model.PowerManagement + 4, 2, 3);
                Config(model, model.PowerManagement + 4, 2, 0);
                model.IsRunning = _random.Next(2) == 0;
                break;
            case < 950 when model.Express != 0:
                Config(model, model.Express + 8, 2, 0x8000);
                model.IsRunning = false;
                break;
            case < 960:
                PlanEndpoint(model);
                break;
            case < 970:
                PlanPort(model);
                break;
            default:
                PlanVectors(model);
                Read(model, 1, model.Common + Reg.ConfigGeneration);
                Read(model, 4, model.Configuration);
                break;
        }
    }

    /// <summary>virtio 1.2, 3.1.1.</summary>
    private void PlanStart(FunctionModel model)
    {
        if (_random.Next(8) == 0)
        {
            PlanMove(model);
        }

        if (model.PowerManagement != 0)
        {
            Config(model, model.PowerManagement + 4, 2, 0);
        }

        Config(model, 4, 2, _random.Next(8) == 0 ? 0x406u : 6u);
        Common(model, Reg.DeviceStatus, 1, 0);
        Common(model, Reg.DeviceStatus, 1, 1);
        Common(model, Reg.DeviceStatus, 1, 3);
        model.Features = DrawFeatures(model);
        Common(model, Reg.DriverFeatureSelect, 4, 0);
        Common(model, Reg.DriverFeature, 4, (uint)model.Features);
        Common(model, Reg.DriverFeatureSelect, 4, 1);
        Common(model, Reg.DriverFeature, 4, model.Features >> 32);
        Common(model, Reg.DeviceStatus, 1, 0xb);
        Read(model, 1, model.Common + Reg.DeviceStatus);
        PlanVectors(model);
        foreach (QueueModel queue in model.Queues)
        {
            queue.IsEnabled = _random.Next(10) != 0;
            if (queue.IsEnabled)
            {
                PlanQueue(model, queue);
            }
        }

        Common(model, Reg.DeviceStatus, 1, 0xf);
        model.IsRunning = true;
    }

    private ulong DrawFeatures(FunctionModel model)
    {
        ulong features = model.Offered;
        foreach (ulong each in (ReadOnlySpan<ulong>)
            [RingFeatures.Packed, RingFeatures.EventIndex, RingFeatures.IndirectDescriptors, TransportFeatures.NotificationData])
        {
            features &= _random.Next(3) == 0 ? ~each : ulong.MaxValue;
        }

        return _random.Next(16) switch
        {
            0 => features & (ulong)_random.NextInt64(),
            1 => features | (1UL << _random.Next(64)),
            _ => features,
        };
    }

    private void PlanVectors(FunctionModel model)
    {
        if (model.Msix == 0)
        {
            return;
        }

        bool use = _random.Next(6) != 0;
        for (int vector = 0; use && vector < Math.Min(model.Vectors, 4); vector++)
        {
            ulong entry = model.Table + ((ulong)vector * 16);
            Write(model, 4, entry, 0xfee0_0000);
            Write(model, 4, entry + 4, 0);
            Write(model, 4, entry + 8, (ulong)(0x40 + vector));
            Write(model, 4, entry + 12, _random.Next(8) == 0 ? 1u : 0);
        }

        Config(model, model.Msix + 2, 2, use ? _random.Next(16) == 0 ? 0xc000u : 0x8000u : 0);
    }

    private void PlanQueue(FunctionModel model, QueueModel queue)
    {
        queue.IsPacked = (model.Features & RingFeatures.Packed) != 0;
        queue.Size = _random.Next(3) switch
        {
            0 => queue.MaximumSize,
            1 when queue.IsPacked => (ushort)_random.Next(1, queue.MaximumSize + 1),
            _ => (ushort)(1 << _random.Next(BitOperations.Log2(queue.MaximumSize) + 1)),
        };
        queue.Descriptors = Place(queue.Home, 0x1000);
        queue.Driver = Place(queue.Home + 0x1000, 0x400);
        queue.Device = Place(queue.Home + 0x2000, 0x1000);
        (queue.Available, queue.NextDescriptor, queue.Wrap, queue.Chains) = (0, 0, true, 0);
        Fill(model, queue.Descriptors, 0x1000);
        Fill(model, queue.Driver, 0x400);
        Fill(model, queue.Device, 0x1000);
        Common(model, Reg.QueueSelect, 2, (ulong)queue.Index);
        Common(model, Reg.QueueSize, 2, queue.Size);
        ulong vector = model.Vectors == 0 ? 0xffff : (ulong)(queue.Index % model.Vectors);
        Common(model, Reg.QueueMsixVector, 2, vector);
        Address(model, Reg.QueueDescriptors, queue.Descriptors);
        Address(model, Reg.QueueDriver, queue.Driver);
        Address(model, Reg.QueueDevice, queue.Device);
        Common(model, Reg.QueueEnable, 2, 1);
    }

    /// <summary>Where an area goes: at home, or somewhere that it should not or hardly can be.</summary>
    private ulong Place(ulong home, ulong length) => _random.Next(100) switch
    {
        0 => AnyRamAddress(),
        1 => AnyRamAddress() & ~0xfUL,
        2 => FuzzRam.Layout[1].Address + FuzzRam.Layout[1].Length - (length / 2), // across two regions that touch
        3 => FuzzRam.Layout[4].Address + FuzzRam.Layout[4].Length - length, // up to the end of one
        4 => FuzzRam.Layout[5].Address + FuzzRam.Layout[5].Length - length, // and of the address space
        _ => home,
    };

    private void PlanQueueReset(FunctionModel model)
    {
        QueueModel queue = model.Queues[_random.Next(model.Queues.Length)];
        Common(model, Reg.QueueSelect, 2, (ulong)queue.Index);
        Common(model, Reg.QueueReset, 2, 1);
        Read(model, 2, model.Common + Reg.QueueReset);
        PlanQueue(model, queue);
        queue.IsEnabled = true;
    }

    private void PlanMove(FunctionModel model)
    {
        ulong address = AnyBarAddress(model.BarSize);
        if (_random.Next(2) == 0)
        {
            Config(model, 4, 2, 4);
        }

        Config(model, 0x10, 4, (uint)address);
        Config(model, 0x14, 4, _random.Next(16) == 0 ? (uint)(address >> 32) : 0);
        Config(model, 4, 2, 6);
        _machine.Counts.BarMoves++;
    }

    private void PlanWindow(FunctionModel model)
    {
        Config(model, model.Window + 4, 1, _random.Next(4) == 0 ? (uint)_random.Next(256) : 0);
        Config(model, model.Window + 8, 4, _random.Next(4) == 0 ? (uint)AnyValue() : (uint)AnyBarOffset(model));
        Config(model, model.Window + 12, 4, _random.Next(4) == 0 ? (uint)AnyValue() : 1u << _random.Next(3));
        if (_random.Next(2) == 0)
        {
            Config(model, model.Window + 16, 1 << _random.Next(3), (uint)AnyValue());
        }
        else
        {
            model.Plan.Enqueue(new FuzzOperation(
                FuzzAction.ConfigRead, VcpuOf(model), (byte)model.Index, 0, (byte)(1 << _random.Next(3)), (ulong)model.Window + 16, 0));
        }
    }

    /// <summary>The function without virtio: BARs of every kind over those of others, messages, the pin, reset.</summary>
    private void PlanEndpoint(FunctionModel model)
    {
        byte function = FuzzMachine.Endpoint;
        Enqueue(model, FuzzAction.ConfigWrite, function, 2, 4, 7);
        (ulong register, ulong size) = _random.Next(4) switch
        {
            0 => (0x10UL, 64UL),
            1 => (0x14UL, 0x1000UL),
            2 => (0x18UL, 0x8000UL),
            _ => (0x30UL, 0x1000UL),
        };
        ulong address = register == 0x10 ? (ulong)_random.Next(0x10000) : AnyBarAddress(size) | (register == 0x30 ? 1u : 0);
        Enqueue(model, FuzzAction.ConfigWrite, function, 4, register, address);
        Enqueue(model, FuzzAction.ConfigWrite, function, 4, (ulong)_random.Next(0x40, 0x100) & ~3UL, AnyValue());
        for (int i = 0; i < 4; i++)
        {
            FuzzAction action = _random.Next(2) == 0 ? FuzzAction.BarRead : FuzzAction.BarWrite;
            model.Plan.Enqueue(new FuzzOperation(
                action, AnyVcpu(), function, (byte)_random.Next(4), (byte)_random.Next(1, 9), (ulong)_random.Next(0x40), AnyValue()));
        }
    }

    /// <summary>The root port: numbers, windows, bridge control, slot. Firmware's values come back with the next start.</summary>
    private void PlanPort(FunctionModel model)
    {
        byte function = FuzzMachine.Port;
        switch (_random.Next(5))
        {
            case 0:
                Enqueue(model, FuzzAction.ConfigWrite, function, 4, 0x18, (ulong)_random.Next(3) << 8 | ((ulong)_random.Next(4) << 16));
                break;
            case 1:
                Enqueue(model, FuzzAction.ConfigWrite, function, 4, (ulong)(0x1c + (4 * _random.Next(6))), AnyValue());
                break;
            case 2:
                Enqueue(model, FuzzAction.ConfigWrite, function, 2, 0x3e, AnyValue());
                break;
            case 3:
                Enqueue(model, FuzzAction.ConfigWrite, function, (byte)(1 << _random.Next(3)), (ulong)_random.Next(0x40, 0xa0), AnyValue());
                break;
            default:
                Enqueue(model, FuzzAction.ConfigWrite, function, 2, 4, 7);
                Enqueue(model, FuzzAction.ConfigWrite, function, 4, 0x18, 0x0001_0100);
                Enqueue(model, FuzzAction.ConfigWrite, function, 2, 0x3e, 0);
                break;
        }
    }

    private void Enqueue(FunctionModel model, FuzzAction action, byte function, byte width, ulong address, ulong value)
    {
        model.Plan.Enqueue(new FuzzOperation(action, VcpuOf(model), function, 0, width, address, value));
    }

    private void Config(FunctionModel model, int offset, int width, uint value)
    {
        Enqueue(model, FuzzAction.ConfigWrite, (byte)model.Index, (byte)width, (ulong)offset, value);
    }

    private void Common(FunctionModel model, int register, int width, ulong value) => Write(model, width, model.Common + (ulong)register, value);

    private void Write(FunctionModel model, int width, ulong offset, ulong value) => model.Plan.Enqueue(Bar(model, true, (byte)width, offset, value));

    private void Read(FunctionModel model, int width, ulong offset) => model.Plan.Enqueue(Bar(model, false, (byte)width, offset, 0));

    private void Address(FunctionModel model, int register, ulong address)
    {
        if (_random.Next(2) == 0)
        {
            Common(model, register, 8, address);
            return;
        }

        Common(model, register, 4, (uint)address);
        Common(model, register + 4, 4, address >> 32);
    }

    private void Fill(FunctionModel model, ulong address, ulong length)
    {
        model.Plan.Enqueue(new FuzzOperation(FuzzAction.RamFill, VcpuOf(model), (byte)model.Index, 0, 1, address, length << 32));
    }
}
