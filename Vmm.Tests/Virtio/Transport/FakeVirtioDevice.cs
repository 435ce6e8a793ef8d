using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>A device that remembers what its transport asked of it, and fails or blocks where a test wants it to.</summary>
internal sealed class FakeVirtioDevice : VirtioDevice
{
    private readonly ushort[] _sizes;

    public FakeVirtioDevice(params ushort[] sizes)
    {
        _sizes = sizes.Length == 0 ? [64, 64] : sizes;
        Rings = new Virtqueue?[_sizes.Length];
        Kicks = new EventFd?[_sizes.Length];
        Resources = new QueueResources?[_sizes.Length];
        Registers = new Bytes(this);
    }

    /// <summary>Calls in order: <c>start</c>, <c>start-queue 0</c>, <c>stop-queue 0</c>, <c>reset</c>, <c>dispose</c>.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    public ulong Features { get; set; } = RingFeatures.IndirectDescriptors | RingFeatures.EventIndex | 0x55;

    public VirtioDeviceType Type { get; init; } = VirtioDeviceType.Block;

    public bool InOrder { get; set; }

    /// <summary>False for what measures allocations: resets are not looked at.</summary>
    public bool Records { get; set; } = true;

    public List<SharedMemoryRegion> Shared { get; } = [];

    public byte[] Configuration { get; set; } = Enumerable.Range(1, 24).Select(i => (byte)i).ToArray();

    public Func<ulong, bool> Accepts { get; set; } = static _ => true;

    /// <summary>Runs inside every call, with the call's name; may throw or block.</summary>
    public Action<string> OnCall { get; set; } = static _ => { };

    /// <summary>Running queues.</summary>
    public Virtqueue?[] Rings { get; }

    public EventFd?[] Kicks { get; }

    /// <summary>Resources that the queues were last started with.</summary>
    public QueueResources?[] Resources { get; }

    public IVirtioDeviceHost? Host { get; private set; }

    /// <summary>The host of the last start, also after a reset.</summary>
    public IVirtioDeviceHost? LastHost { get; private set; }

    public ulong StartedFeatures { get; private set; }

    /// <summary>The feature sets that the transport announced, in order.</summary>
    public ConcurrentQueue<ulong> Negotiations { get; } = new();

    public int Count(string call) => Calls.Count(c => c == call);

    public override VirtioDeviceType DeviceType => Type;

    public override ulong OfferedFeatures => Features;

    public override IReadOnlyList<ushort> QueueSizes => _sizes;

    public override IRegisterBlock Registers { get; }

    public override IReadOnlyList<SharedMemoryRegion> SharedMemory => Shared;

    public override bool CompletesInOrder => InOrder;

    public override bool AcceptsFeatures(ulong features) => Accepts(features);

    /// <summary>Changes configuration as a device does on its own account.</summary>
    public void Change(Action change) => ChangeConfiguration(change);

    public override void OnFeaturesNegotiated(ulong features)
    {
        if (Records)
        {
            Negotiations.Enqueue(features);
            OnCall("negotiated");
        }
    }

    public override void Start(ulong features, IVirtioDeviceHost host)
    {
        LastHost = Host = host;
        StartedFeatures = features;
        Record("start");
    }

    public override bool TryStartQueue(QueueResources queue, [NotNullWhen(false)] out string? reason)
    {
        int index = queue.Configuration.Index;
        Host.Should().NotBeNull("a queue is started after the device");
        Rings[index].Should().BeNull("a queue is started once");
        if (!Virtqueue.TryCreate(queue, out Virtqueue? ring, out reason))
        {
            return false;
        }

        Rings[index] = ring;
        Kicks[index] = queue.Kick;
        Resources[index] = queue;
        Record($"start-queue {index}");
        return true;
    }

    public override VirtqueueState? StopQueue(int index)
    {
        Record($"stop-queue {index}");
        VirtqueueState? state = Rings[index]?.Save();
        Rings[index] = null;
        return state;
    }

    public override void Reset()
    {
        if (Records)
        {
            Record("reset");
            Rings.Should().OnlyContain(ring => ring == null, "every queue is stopped before the reset");
        }

        Host = null;
    }

    protected override void Dispose(bool disposing)
    {
        Record("dispose");
        base.Dispose(disposing);
    }

    private void Record(string call)
    {
        Calls.Enqueue(call);
        OnCall(call);
    }

    /// <summary>Configuration that is no table: bytes, as another process would give them.</summary>
    private sealed class Bytes(FakeVirtioDevice device) : IRegisterBlock
    {
        public string Name => "fake";

        public int Length => device.Configuration.Length;

        public IReadOnlyList<RegisterInfo> Registers => [];

        public ulong Read(ulong offset, int width)
        {
            Check((int)offset, width);
            ulong value = 0;
            for (int i = 0; i < width; i++)
            {
                value |= (ulong)device.Configuration[(int)offset + i] << (8 * i);
            }

            return value;
        }

        public void Write(ulong offset, int width, ulong value)
        {
            Check((int)offset, width);
            for (int i = 0; i < width; i++)
            {
                device.Configuration[(int)offset + i] = (byte)(value >> (8 * i));
            }
        }

        public string Describe(ulong offset, int selected) => $"fake.bytes[{offset}]";

        public bool TryPeek(in RegisterInfo register, int index, out ulong value)
        {
            value = 0;
            return false;
        }

        public void Inspect(InspectionNode node)
        {
        }

        // The contract of the base class; without an assertion, which would allocate.
        private void Check(int offset, int width)
        {
            if (offset < 0 || offset > Length - width || offset % width != 0)
            {
                throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{width} bytes");
            }
        }
    }
}
