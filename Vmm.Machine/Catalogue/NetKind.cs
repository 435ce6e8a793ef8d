using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Win32.SafeHandles;
using Vmm.Machine.Devices;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Catalogue;

/// <summary>Virtio network devices: <c>--net</c>.</summary>
public sealed class NetKind : VirtioKind<NetOptions>
{
    private const int InterfaceNameLimit = 15;
    private const int QueueLimit = 64;
    private const int FirstDescriptor = 3;                      // the first after the standard ones

    private readonly Func<NetOptions, IReadOnlyList<INetBackend>> _open;

    /// <summary>Devices on taps of the host.</summary>
    public NetKind()
        : this(Open)
    {
    }

    /// <summary>Devices on back-ends that somebody else opens, one a pair of queues.</summary>
    internal NetKind(Func<NetOptions, IReadOnlyList<INetBackend>> open) => _open = open;

    /// <inheritdoc/>
    public override string Name => "net";

    /// <inheritdoc/>
    public override string Form => "tap=NAME|fd=N,...";

    /// <inheritdoc/>
    public override string Description =>
        "Virtio network device on a tap, which is made if absent; ip=ADDRESS and mask=MASK for its host side, mac=MAC, "
        + "num_queues=N receive and transmit queues, 2 a pair (2); fd=N or fd=[N,N] for a tap that is open, a descriptor a pair; " + RateLimiterWords.Help + ", each way; may be repeated";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Examples =>
    [
        "tap=tap0",
        "tap=tap1,mac=52:54:00:12:34:56,ip=192.168.7.1,mask=255.255.255.0,num_queues=8,id=lan",
        "tap=tap2,bw_size=1M,bw_one_time_burst=8M,bw_refill_time=100",
    ];

    /// <inheritdoc/>
    public override KindModel? Model { get; } = new("net", "tap=loopback");

    /// <inheritdoc/>
    public override IJsonTypeInfoResolver Json => NetJson.Default;

    /// <inheritdoc/>
    public override NetOptions? Parse(string text)
    {
        var words = OptionValue.Parse(Option, text, ["tap", "fd", "mac", "ip", "mask", "num_queues", .. RateLimiterWords.Known, .. VirtioWords.Known]);
        IReadOnlyList<int>? descriptors = ReadDescriptors(words, text);
        string tap = descriptors is null ? words.Require("tap") : "";
        if (Encoding.UTF8.GetByteCount(tap) > InterfaceNameLimit)
        {
            throw words.Bad("tap", $"longer than {InterfaceNameLimit} bytes, which is the limit of an interface's name");
        }

        if (tap is "." or ".." || tap.Any(c => c is '/' or ':' or '%' || char.IsWhiteSpace(c) || char.IsControl(c)))
        {
            throw words.Bad("tap", "not a name of an interface");
        }

        IPAddress? address = ReadAddress(words, "ip");
        IPAddress? mask = ReadAddress(words, "mask");
        if ((address is null) != (mask is null))
        {
            throw new UsageException(Option, text, address is null ? "mask= without ip=" : "ip= without mask=");
        }

        if (mask is not null && !IsMask(mask))
        {
            throw words.Bad("mask", "not a network mask: ones, then zeroes");
        }

        // Queues for receiving and for sending together, as cloud-hypervisor counts them.
        int queues = words.GetNumber("num_queues", 2, 2 * QueueLimit) ?? 2;
        if (queues % 2 != 0)
        {
            throw words.Bad("num_queues", "not a multiple of 2: a receive and a transmit queue make a pair");
        }

        if (descriptors is not null && words.Get("num_queues") is not null && queues != 2 * descriptors.Count)
        {
            throw words.Bad("num_queues", $"not {2 * descriptors.Count}: a receive and a transmit queue for each of fd=");
        }

        return new NetOptions(tap, ReadMac(words), address, mask, descriptors?.Count ?? (queues / 2))
        {
            Descriptors = descriptors is null ? null : [.. descriptors.Select(static number => new SafeFileHandle(number, ownsHandle: false))],
            Id = words.Get("id"),
            RateLimiterConfig = RateLimiterWords.Read(words),
            QueueSize = VirtioWords.ReadQueueSize(words),
            Transport = VirtioWords.Read(words),
        };
    }

    /// <inheritdoc/>
    protected override string? SubjectOf(NetOptions options) => options.Descriptors is [{ } first, ..]
        ? string.Create(CultureInfo.InvariantCulture, $"fd={first.DangerousGetHandle()}")
        : options.Tap;

    /// <inheritdoc/>
    protected override string? Describe(NetOptions options) => $"tap {SubjectOf(options)}";

    /// <inheritdoc/>
    protected override VirtioDevice CreateDevice(NetOptions options, DeviceContext context) => CreateDevice(_open(options), options, context);

    /// <summary>On a network of which nobody else is a part.</summary>
    protected override VirtioDevice CreateModelDevice(NetOptions options, DeviceContext context) =>
        CreateDevice([.. Enumerable.Range(0, options.Pairs).Select(static _ => new LoopbackNetBackend())], options, context);

    private static IReadOnlyList<INetBackend> Open(NetOptions options)
    {
        if (options.Descriptors is not { } descriptors)
        {
            return TapInterface.OpenQueues(options.Tap, options.Pairs, options.HostAddress, options.HostMask);
        }

        if (options.Tap.Length != 0 || options.HostAddress is not null || options.HostMask is not null || options.Pairs != descriptors.Count)
        {
            throw new ArgumentException("a card on descriptors has no name of a tap, no address of the host, and as many pairs as descriptors");
        }

        return TapInterface.TakeQueues(descriptors);
    }

    private IReadOnlyList<int>? ReadDescriptors(OptionValue words, string text)
    {
        if (words.GetNumbers("fd", FirstDescriptor, int.MaxValue) is not { } descriptors)
        {
            return null;
        }

        if (descriptors.Count > QueueLimit || descriptors.Distinct().Count() != descriptors.Count)
        {
            throw words.Bad("fd", $"not 1 to {QueueLimit} different descriptors");
        }

        string? other = Array.Find(["tap", "ip", "mask"], word => words.Get(word) is not null);
        return other is null ? descriptors : throw new UsageException(Option, text, $"{other}= with fd=, which is a tap that is set up already");
    }

    private static NetDevice CreateDevice(IReadOnlyList<INetBackend> queues, NetOptions options, DeviceContext context)
    {
        try
        {
            var defaults = new NetDeviceOptions();
            return new NetDevice(queues, defaults with
            {
                Id = context.Id,
                Mac = options.MacAddress ?? DefaultMac((queues[0] as TapInterface)?.Name ?? options.Tap),
                QueueSize = options.QueueSize ?? defaults.QueueSize,
                RateLimiter = options.RateLimiterConfig,
                Time = context.Time,
                Logger = context.CreateLogger(LogCategory),
            });
        }
        catch
        {
            foreach (INetBackend queue in queues)
            {
                queue.Dispose();
            }

            throw;
        }
    }

    private static IPAddress? ReadAddress(OptionValue words, string key)
    {
        string? text = words.Get(key);
        if (text is null)
        {
            return null;
        }

        // Short forms such as 10.1 are legal addresses to the parser, and typing mistakes here.
        return text.Count(c => c == '.') == 3
            && IPAddress.TryParse(text, out IPAddress? address)
            && address.AddressFamily == AddressFamily.InterNetwork
            ? address
            : throw words.Bad(key, "not an IPv4 address");
    }

    private static bool IsMask(IPAddress mask)
    {
        uint bits = 0;
        foreach (byte b in mask.GetAddressBytes())
        {
            bits = (bits << 8) | b;
        }

        uint zeroes = ~bits;
        return bits != 0 && (zeroes & (zeroes + 1)) == 0;
    }

    private static MacAddress? ReadMac(OptionValue words)
    {
        string? text = words.Get("mac");
        if (text is null)
        {
            return null;
        }

        if (!MacAddress.TryParse(text, out MacAddress address))
        {
            throw words.Bad("mac", "not an Ethernet address: six pairs of hexadecimal digits with colons");
        }

        return address.IsUnicast ? address : throw words.Bad("mac", "not the address of one card: a multicast address, or all zeroes");
    }

    /// <summary>Locally administered, and the same at every start: FNV-1a of the tap's name.</summary>
    private static MacAddress DefaultMac(string tap)
    {
        ulong hash = 0xCBF2_9CE4_8422_2325;
        foreach (byte b in Encoding.UTF8.GetBytes(tap))
        {
            hash = (hash ^ b) * 0x0000_0100_0000_01B3;
        }

        return new MacAddress((0x02UL << 40) | ((hash ^ (hash >> 40)) & 0xFF_FFFF_FFFF));
    }
}

/// <summary>The members of a network device's options.</summary>
[JsonSerializable(typeof(NetOptions))]
internal sealed partial class NetJson : JsonSerializerContext;
