using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Limits;
using Vmm.Virtio.Queues;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Devices;

/// <summary>The network device with one or more pairs of queues and a control queue (virtio 1.2, 5.1).</summary>
/// <remarks>
/// One worker a pair; the first one's serves the control queue as well. With several pairs the driver may take VIRTIO_NET_F_MQ; which of them
/// gets a packet is the back-ends' choice among those in use (5.1.6.5.6). Packets go between the back-end and guest memory without a copy of
/// ours, received ones into as many buffers as they need. Without room for packets the back-end is not looked at, so that nothing spins; what
/// it cannot take is dropped and counted.
/// </remarks>
public sealed class NetDevice : WorkerDevice, IDeviceCounters
{
    /// <summary>The largest unsegmented packet with its Ethernet header and ours.</summary>
    internal const int LargestPacket = NetHeader.Size + EthernetHeaderSize + 65535;

    /// <summary>Bytes of an Ethernet header without a VLAN tag.</summary>
    internal const int EthernetHeaderSize = 14;

    /// <summary>Pairs that a card can have, which is what a tap can have.</summary>
    internal const int MaximumPairs = 256;

    /// <summary>Packets that a back-end gets at once, at most.</summary>
    internal const int MaximumBatch = 64;

    internal static readonly RegisterMap<NetDevice> Map = new("net", length: 12, RegisterPolicy.Lanes)
    {
        { 0, 1, RegisterAccess.ReadOnly, "mac", MacAddress.Size, 1, static (d, i) => d.Mac.Value >> (8 * (MacAddress.Size - 1 - i)) },
        { 6, 2, RegisterAccess.ReadOnly, "status", static d => d.LinkUp ? LinkUpStatus : 0UL },
        { 8, 2, RegisterAccess.ReadOnly, "max_virtqueue_pairs", static d => (ulong)d._backends.Count },
        { 10, 2, RegisterAccess.ReadOnly, "mtu", static d => d._mtu },
    };

    private const ushort LinkUpStatus = 1;
    private const int VlanTagSize = 4;
    private const ushort CustomerVlan = 0x8100;
    private const ushort ServiceVlan = 0x88a8;
    private const NetOffloads Segmentation = NetOffloads.Tso4 | NetOffloads.Tso6;

    private readonly IReadOnlyList<INetBackend> _backends;
    private readonly NetSteering _steering;
    private readonly TransferCounters _transfers;
    private readonly ushort _mtu;
    private readonly bool _offloads;
    private readonly MacAddress _initialMac;
    private readonly Lock _offloadsLock = new();
    private ulong _mac;
    private int _receiveOffloads;
    private bool _linkUp = true;
    private long _receiveDropped;
    private long _transmitDropped;

    /// <summary>Makes a card with one pair of queues.</summary>
    /// <param name="backend">The host's end; owned by the device from now on.</param>
    /// <param name="options">Address and names.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public NetDevice(INetBackend backend, NetDeviceOptions? options = null)
        : this([backend], options)
    {
    }

    /// <summary>Makes a card with a pair of queues for each back-end.</summary>
    /// <param name="backends">The host's ends, 1 to 256; owned by the device from now on. Of several, none receives before it is told to.</param>
    /// <param name="options">Address and names.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public NetDevice(IReadOnlyList<INetBackend> backends, NetDeviceOptions? options = null)
        : base(options ??= new NetDeviceOptions(), QueuesFor(backends))
    {
        foreach (INetBackend backend in backends)
        {
            ArgumentNullException.ThrowIfNull(backend);
        }

        if (options.Mac is { IsUnicast: false })
        {
            throw new ArgumentException($"{options.Mac} is not the address of one card", nameof(options));
        }

        if (options.Mtu is > 0 and < 68)
        {
            throw new ArgumentException($"an MTU is 68 to 65535, not {options.Mtu}", nameof(options));
        }

        options.RateLimiter?.Validate();
        ReceiveLimiter = RateLimiter.Create(options.RateLimiter, options.Time, WakeAll);
        TransmitLimiter = RateLimiter.Create(options.RateLimiter, options.Time, WakeAll);
        _backends = [.. backends];
        _steering = new NetSteering(_backends);
        _transfers = new TransferCounters(_backends.Count);
        _mtu = options.Mtu;
        _offloads = options.Offloads;
        _initialMac = options.Mac ?? MacAddress.CreateRandom();
        _mac = _initialMac.Value;
        Registers = Map.Bind(this);
    }

    /// <inheritdoc/>
    public override VirtioDeviceType DeviceType => VirtioDeviceType.Net;

    /// <inheritdoc/>
    public override ulong OfferedFeatures
    {
        get
        {
            ulong features = OfferedRingFeatures | NetFeatures.Mac | NetFeatures.MergeableBuffers | NetFeatures.Status
                | NetFeatures.ControlQueue | NetFeatures.ControlReceiveMode | NetFeatures.ControlMacAddress;
            features |= (_mtu != 0 ? NetFeatures.Mtu : 0) | (_backends.Count > 1 ? NetFeatures.MultiQueue : 0);
            return !_offloads ? features : features | NetFeatures.GuestOffloads | NetFeatures.ControlGuestOffloads
                | NetFeatures.Checksum | NetFeatures.HostTso4 | NetFeatures.HostTso6 | NetFeatures.HostEcn;
        }
    }

    /// <inheritdoc/>
    public override IRegisterBlock Registers { get; }

    /// <summary>Pairs of queues that the card has.</summary>
    public int PairCount => _backends.Count;

    /// <summary>Pairs that the driver uses, 1 after a reset.</summary>
    public int PairsInUse => _steering.PairsInUse;

    /// <summary>The address of the card, which the driver may change.</summary>
    public MacAddress Mac => new(Volatile.Read(ref _mac));

    /// <summary>Whether the driver sees a carrier; off when the back-end has gone.</summary>
    public bool LinkUp
    {
        get => Volatile.Read(ref _linkUp);
        set
        {
            if (_linkUp != value)
            {
                ChangeConfiguration(() => Volatile.Write(ref _linkUp, value));
                if (HasNegotiated(NetFeatures.Status))
                {
                    Host?.ConfigurationChanged();
                }
            }
        }
    }

    /// <summary>
    /// Received packets that no buffers of the driver could hold, or that the driver did not agree to: larger than a negotiated MTU, or with a
    /// partial checksum or unsegmented where it does neither by itself.
    /// </summary>
    public long ReceiveDropped => Interlocked.Read(ref _receiveDropped);

    /// <summary>Sent packets that were malformed, asked for an offload that was not negotiated, or that the back-end did not take.</summary>
    public long TransmitDropped => Interlocked.Read(ref _transmitDropped);

    /// <summary>
    /// <c>rx_bytes</c>, <c>tx_bytes</c>, <c>rx_frames</c> and <c>tx_frames</c>: packets that the driver got, and those of its that the back-end took,
    /// without their virtio header; and <c>rx_dropped</c> and <c>tx_dropped</c>. A packet that is to be segmented counts as one. Where a back-end
    /// drops some of several packets that it was given together, the bytes of the others are estimated by their number.
    /// </summary>
    public IReadOnlyList<DeviceCounter> Counters
    {
        get
        {
            (long receivedBytes, long received, long sentBytes, long sent) = _transfers.Sum();
            return
            [
                new DeviceCounter("rx_bytes", receivedBytes),
                new DeviceCounter("tx_bytes", sentBytes),
                new DeviceCounter("rx_frames", received),
                new DeviceCounter("tx_frames", sent),
                new DeviceCounter("rx_dropped", ReceiveDropped),
                new DeviceCounter("tx_dropped", TransmitDropped),
            ];
        }
    }

    /// <summary>The limit of received packets, or null for none.</summary>
    internal RateLimiter? ReceiveLimiter { get; }

    /// <summary>The limit of sent packets, or null for none.</summary>
    internal RateLimiter? TransmitLimiter { get; }

    /// <summary>Whether a received packet may lie in several chains.</summary>
    internal bool MergesBuffers => HasNegotiated(NetFeatures.MergeableBuffers);

    /// <summary>Room that a received packet may need.</summary>
    internal int ReceiveRoom => (ReceiveOffloads & Segmentation) != 0
        ? LargestPacket
        : NetHeader.Size + EthernetHeaderSize + VlanTagSize + Math.Max((ushort)1500, _mtu);

    /// <summary>Offloads that sent packets may ask the back-end for.</summary>
    internal NetOffloads TransmitOffloads { get; private set; }

    /// <summary>Offloads that received packets may leave to the driver.</summary>
    private NetOffloads ReceiveOffloads
    {
        get => (NetOffloads)Volatile.Read(ref _receiveOffloads);
        set => Volatile.Write(ref _receiveOffloads, (int)value);
    }

    /// <inheritdoc/>
    public override bool AcceptsFeatures(ulong features) => NetFeatures.DependenciesHold(features);

    /// <inheritdoc/>
    public override void Inspect(InspectionNode node)
    {
        base.Inspect(node);
        node.Add("mac", Mac.ToString());
        node.Add("link up", LinkUp);
        node.Add("pairs in use", PairsInUse);
        node.Add("receive offloads", ReceiveOffloads.ToString());
    }

    /// <inheritdoc/>
    public override SavedState Save()
    {
        var state = new NetState { Mac = Mac.Value, LinkUp = LinkUp, Pairs = PairsInUse, ReceiveOffloads = (int)ReceiveOffloads };
        return SavedState.Of(NetState.Kind, NetState.Version, state, VirtioStateJson.Default.NetState);
    }

    /// <inheritdoc/>
    public override Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        NetState net = state.Read(NetState.Kind, NetState.Version, VirtioStateJson.Default.NetState);
        SavedState.Require(net.Mac >> 48 == 0 && new MacAddress(net.Mac).IsUnicast, "mac", "the address of one card", net.Mac);
        SavedState.Require(net.Pairs >= 1 && net.Pairs <= PairCount, "pairs", $"1 to {PairCount}", net.Pairs);
        const NetOffloads All = NetOffloads.Checksum | NetOffloads.Tso4 | NetOffloads.Tso6 | NetOffloads.TsoEcn;
        SavedState.Require(((NetOffloads)net.ReceiveOffloads & ~All) == 0, "receiveOffloads", "offloads that are known", net.ReceiveOffloads);
        return () => Restore(net);
    }

    /// <summary>Whether a feature bit is in force.</summary>
    internal bool HasNegotiated(ulong feature) => (Features & feature) != 0;

    /// <summary>Makes the header of a received packet keep to what the driver agreed to (5.1.4.1, 5.1.6.4.1).</summary>
    /// <param name="start">The header and the Ethernet header.</param>
    /// <param name="length">Length of the packet with its header.</param>
    /// <returns>False if the packet must not be passed.</returns>
    internal bool TryConformReceived(Span<byte> start, int length)
    {
        return NetHeader.TryConform(start, ReceiveOffloads, NetHeader.NeedsChecksum | NetHeader.DataValid)
            && (!HasNegotiated(NetFeatures.Mtu) || NetHeader.IsSegmented(start) || IsWithinMtu(start[NetHeader.Size..], length - NetHeader.Size));
    }

    private void Restore(NetState state)
    {
        Volatile.Write(ref _mac, state.Mac);
        Volatile.Write(ref _linkUp, state.LinkUp);
        _steering.TryUse(state.Pairs);
        lock (_offloadsLock)
        {
            SetOffloads((NetOffloads)state.ReceiveOffloads);
        }
    }

    internal void CountReceiveDrop() => Interlocked.Increment(ref _receiveDropped);

    /// <summary>
    /// The back-end is to send what large packets hold as small ones from now on, because a receive queue has too few buffers for a large one:
    /// they would all be dropped, and TCP would not get on. Lasts until the driver sets its offloads again. From any receive worker.
    /// </summary>
    internal void DoWithoutLargePackets()
    {
        lock (_offloadsLock)
        {
            if ((ReceiveOffloads & Segmentation) != 0)
            {
                SetOffloads(ReceiveOffloads & NetOffloads.Checksum);
            }
        }
    }

    /// <summary>Counts packets that the driver got. On the worker of the pair.</summary>
    /// <param name="pair">The pair.</param>
    /// <param name="bytes">Bytes of them with their virtio headers.</param>
    /// <param name="packets">Packets.</param>
    internal void CountReceived(int pair, long bytes, int packets) => _transfers.AddIn(pair, bytes - ((long)packets * NetHeader.Size), packets);

    /// <summary>Counts packets that a back-end took. On the worker of the pair.</summary>
    /// <param name="pair">The pair.</param>
    /// <param name="packets">The packets that it was given.</param>
    /// <param name="dropped">How many of them it dropped.</param>
    internal void CountSent(int pair, PacketBatch packets, int dropped)
    {
        long bytes = packets.Length - ((long)packets.Count * NetHeader.Size);
        int taken = Math.Clamp(packets.Count - dropped, 0, packets.Count);
        _transfers.AddOut(pair, taken == packets.Count ? bytes : bytes * taken / packets.Count, taken);
    }

    internal void CountTransmitDrops(int count) => Interlocked.Add(ref _transmitDropped, count);

    /// <summary>VIRTIO_NET_CTRL_MAC_ADDR_SET.</summary>
    internal bool TrySetMac(MacAddress address)
    {
        if (!address.IsUnicast || !HasNegotiated(NetFeatures.ControlMacAddress))
        {
            return false;
        }

        ChangeConfiguration(() => Volatile.Write(ref _mac, address.Value));
        return true;
    }

    /// <summary>VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET.</summary>
    internal bool TrySetPairs(int pairs) => IsMultiQueue && pairs >= 1 && pairs <= _backends.Count && _steering.TryUse(pairs);

    /// <summary>VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET.</summary>
    internal bool TrySetGuestOffloads(ulong offloads)
    {
        if (!HasNegotiated(NetFeatures.ControlGuestOffloads) || (offloads & ~(Features & NetFeatures.GuestOffloads)) != 0
            || !NetFeatures.DependenciesHold(offloads))
        {
            return false;
        }

        return ApplyGuestOffloads(offloads);
    }

    private bool IsMultiQueue => HasNegotiated(NetFeatures.MultiQueue);

    /// <summary>The queue behind the pairs, of which there is one if the driver did not take VIRTIO_NET_F_MQ (5.1.2).</summary>
    private int ControlQueue => 2 * WorkerCount;

    /// <inheritdoc/>
    protected override int WorkerCount => IsMultiQueue ? _backends.Count : 1;

    /// <inheritdoc/>
    protected override int WorkerOf(int index) => index == ControlQueue ? 0 : index / 2;

    /// <inheritdoc/>
    protected override void OnStart(ulong features)
    {
        TransmitOffloads = NetFeatures.TransmitOffloads(features);
        if (!ApplyGuestOffloads(features))
        {
            throw new InvalidOperationException("the back-end refused the negotiated offloads");
        }
    }

    /// <inheritdoc/>
    protected override void OnReset()
    {
        Volatile.Write(ref _mac, _initialMac.Value);
        ReceiveOffloads = NetOffloads.None;
        TransmitOffloads = NetOffloads.None;
        _steering.TryUse(1);
    }

    /// <inheritdoc/>
    protected override QueueHandler? CreateHandler(int index, Virtqueue queue)
    {
        int control = ControlQueue;
        return index switch
        {
            _ when index > control || (index == control && !HasNegotiated(NetFeatures.ControlQueue)) => null,
            _ when index == control => new NetControlHandler(this, queue),
            _ when IsReceiveQueue(index) => new NetReceiveHandler(this, _backends[index / 2], queue),
            _ => new NetTransmitHandler(this, _backends[index / 2], queue),
        };
    }

    private protected override void StartHandler(int index, QueueHandler handler, Worker worker)
    {
        if (IsReceiveQueue(index))
        {
            _steering.Start(index / 2, handler, worker);
        }
        else
        {
            base.StartHandler(index, handler, worker);
        }
    }

    private protected override void StopHandler(int index, QueueHandler handler)
    {
        if (IsReceiveQueue(index))
        {
            _steering.Stop(index / 2);
        }
        else
        {
            base.StopHandler(index, handler);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            ReceiveLimiter?.Dispose();
            TransmitLimiter?.Dispose();
            foreach (INetBackend backend in _backends)
            {
                backend.Dispose();
            }
        }
    }

    private static int QueuesFor(IReadOnlyList<INetBackend> backends)
    {
        ArgumentNullException.ThrowIfNull(backends);
        return backends.Count is >= 1 and <= MaximumPairs
            ? (2 * backends.Count) + 1
            : throw new ArgumentException($"a card has 1 to {MaximumPairs} pairs of queues, not {backends.Count}", nameof(backends));
    }

    private bool IsReceiveQueue(int index) => index % 2 == 0 && index != ControlQueue;

    private bool IsWithinMtu(ReadOnlySpan<byte> ethernet, int length)
    {
        if (length <= EthernetHeaderSize + _mtu)
        {
            return true;
        }

        bool tagged = BinaryPrimitives.ReadUInt16BigEndian(ethernet[12..]) is CustomerVlan or ServiceVlan;
        return tagged && length <= EthernetHeaderSize + VlanTagSize + _mtu;
    }

    private bool ApplyGuestOffloads(ulong features)
    {
        lock (_offloadsLock)
        {
            return SetOffloads(NetFeatures.ReceiveOffloads(features));
        }
    }

    private bool SetOffloads(NetOffloads offloads)
    {
        // What is new counts before a back-end makes use of it, what ends until none does.
        NetOffloads before = ReceiveOffloads;
        ReceiveOffloads = before | offloads;
        foreach (INetBackend backend in _backends)
        {
            if (!backend.SetOffloads(offloads))
            {
                ReceiveOffloads = before;
                return false;
            }
        }

        ReceiveOffloads = offloads;
        return true;
    }
}
