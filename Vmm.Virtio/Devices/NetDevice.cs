using System;
using System.Buffers.Binary;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>The network device with one pair of queues and a control queue (virtio 1.2, 5.1).</summary>
/// <remarks>
/// One worker serves all. Packets go between the back-end and guest memory without a copy of ours, received ones into as many buffers as they
/// need. Without room for packets the back-end is not looked at, so that nothing spins; what it cannot take is dropped and counted.
/// </remarks>
public sealed class NetDevice : WorkerDevice
{
    /// <summary>Bytes of the header before each packet.</summary>
    internal const int HeaderSize = 12;

    /// <summary>The largest unsegmented packet with its Ethernet header and ours.</summary>
    internal const int LargestPacket = HeaderSize + 14 + 65535;

    private const int ConfigurationSize = 12;
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const ushort LinkUpStatus = 1;

    private readonly INetBackend _backend;
    private readonly ushort _mtu;
    private readonly bool _offloads;
    private readonly MacAddress _initialMac;
    private ulong _mac;
    private ulong _guestOffloads;
    private bool _linkUp = true;
    private long _receiveDropped;
    private long _transmitDropped;

    /// <summary>Makes a card.</summary>
    /// <param name="backend">The host's end; owned by the device from now on.</param>
    /// <param name="options">Address and names.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public NetDevice(INetBackend backend, NetDeviceOptions? options = null)
        : base(options ??= new NetDeviceOptions(), queueCount: 3)
    {
        ArgumentNullException.ThrowIfNull(backend);
        if (options.Mac is { IsUnicast: false })
        {
            throw new ArgumentException($"{options.Mac} is not the address of one card", nameof(options));
        }

        if (options.Mtu is > 0 and < 68)
        {
            throw new ArgumentException($"an MTU is 68 to 65535, not {options.Mtu}", nameof(options));
        }

        _backend = backend;
        _mtu = options.Mtu;
        _offloads = options.Offloads;
        _initialMac = options.Mac ?? MacAddress.CreateRandom();
        _mac = _initialMac.Value;
    }

    /// <inheritdoc/>
    public override VirtioDeviceType DeviceType => VirtioDeviceType.Net;

    /// <inheritdoc/>
    public override ulong OfferedFeatures
    {
        get
        {
            ulong features = Options.OfferedRingFeatures | NetFeatures.Mac | NetFeatures.MergeableBuffers | NetFeatures.Status
                | NetFeatures.ControlQueue | NetFeatures.ControlReceiveMode | NetFeatures.ControlMacAddress;
            features |= _mtu != 0 ? NetFeatures.Mtu : 0;
            return !_offloads ? features : features | NetFeatures.GuestOffloads | NetFeatures.ControlGuestOffloads
                | NetFeatures.Checksum | NetFeatures.HostTso4 | NetFeatures.HostTso6 | NetFeatures.HostEcn;
        }
    }

    /// <inheritdoc/>
    public override int ConfigurationLength => ConfigurationSize;

    /// <summary>The address of the card, which the driver may change.</summary>
    public MacAddress Mac => new(Volatile.Read(ref _mac));

    /// <summary>Whether the driver sees a carrier.</summary>
    public bool LinkUp
    {
        get => Volatile.Read(ref _linkUp);
        set
        {
            if (_linkUp != value)
            {
                ChangeConfiguration(() => Volatile.Write(ref _linkUp, value));
                Host?.ConfigurationChanged();
            }
        }
    }

    /// <summary>Received packets that no buffers of the driver could hold.</summary>
    public long ReceiveDropped => Interlocked.Read(ref _receiveDropped);

    /// <summary>Sent packets that were malformed or that the back-end did not take.</summary>
    public long TransmitDropped => Interlocked.Read(ref _transmitDropped);

    /// <summary>Whether a received packet may lie in several chains.</summary>
    internal bool MergesBuffers => (Features & NetFeatures.MergeableBuffers) != 0;

    /// <summary>Room that a received packet may need.</summary>
    internal int ReceiveRoom => (_guestOffloads & NetFeatures.GuestSegmentation) != 0
        ? LargestPacket
        : HeaderSize + 14 + 4 + Math.Max((ushort)1500, _mtu);

    /// <inheritdoc/>
    public override bool AcceptsFeatures(ulong features) => NetFeatures.DependenciesHold(features);

    /// <inheritdoc/>
    public override ulong ReadConfiguration(int offset, int width)
    {
        Span<byte> image = stackalloc byte[ConfigurationSize];
        Mac.CopyTo(image);
        BinaryPrimitives.WriteUInt16LittleEndian(image[6..], LinkUp ? LinkUpStatus : (ushort)0);
        BinaryPrimitives.WriteUInt16LittleEndian(image[8..], 1);
        BinaryPrimitives.WriteUInt16LittleEndian(image[10..], _mtu);
        return ConfigurationImage.Read(image, offset, width);
    }

    internal void CountReceiveDrop() => Interlocked.Increment(ref _receiveDropped);

    internal void CountTransmitDrop() => Interlocked.Increment(ref _transmitDropped);

    /// <summary>VIRTIO_NET_CTRL_MAC_ADDR_SET.</summary>
    internal bool TrySetMac(MacAddress address)
    {
        if (!address.IsUnicast || (Features & NetFeatures.ControlMacAddress) == 0)
        {
            return false;
        }

        ChangeConfiguration(() => Volatile.Write(ref _mac, address.Value));
        return true;
    }

    /// <summary>VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET.</summary>
    internal bool TrySetGuestOffloads(ulong offloads)
    {
        if ((Features & NetFeatures.ControlGuestOffloads) == 0 || (offloads & ~(Features & NetFeatures.GuestOffloads)) != 0
            || !NetFeatures.DependenciesHold(offloads))
        {
            return false;
        }

        return ApplyGuestOffloads(offloads);
    }

    private protected override void OnStart(ulong features)
    {
        if (!ApplyGuestOffloads(features & NetFeatures.GuestOffloads))
        {
            throw new InvalidOperationException("the back-end refused the negotiated offloads");
        }
    }

    private protected override void OnReset()
    {
        Volatile.Write(ref _mac, _initialMac.Value);
        _guestOffloads = 0;
    }

    private protected override QueueServer CreateServer(int index, Virtqueue queue, EventFd kick, IVirtioDeviceHost host)
    {
        return index switch
        {
            ReceiveQueue => new NetReceiveServer(this, _backend, queue, kick, host),
            TransmitQueue => new NetTransmitServer(this, _backend, queue, kick, host),
            _ => new NetControlServer(this, queue, kick, host),
        };
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            _backend.Dispose();
        }
    }

    private bool ApplyGuestOffloads(ulong offloads)
    {
        NetOffloads wanted = ((offloads & NetFeatures.GuestChecksum) != 0 ? NetOffloads.Checksum : 0)
            | ((offloads & NetFeatures.GuestTso4) != 0 ? NetOffloads.Tso4 : 0)
            | ((offloads & NetFeatures.GuestTso6) != 0 ? NetOffloads.Tso6 : 0)
            | ((offloads & NetFeatures.GuestEcn) != 0 ? NetOffloads.TsoEcn : 0);
        if (!_backend.SetOffloads(wanted))
        {
            return false;
        }

        _guestOffloads = offloads;
        return true;
    }
}
