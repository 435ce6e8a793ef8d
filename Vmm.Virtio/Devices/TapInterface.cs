using System;
using System.Buffers;
using System.Collections.Generic;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Interop;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>A tap interface of the host, or one queue of it, as the other end of a network card.</summary>
/// <remarks>
/// An interface of the name is used if there is one, else made; one that was made here disappears with its last descriptor, so that nothing is
/// left behind however the process ends. One that somebody else has opened is used as it is. Belongs to the device's worker once it is handed over.
/// </remarks>
public sealed class TapInterface : INetBackend
{
    private const string ControlPath = "/dev/net/tun";
    private const int MaximumNameLength = Tap.IFNAMSIZ - 1;

    private static readonly SearchValues<char> ForbiddenInNames = SearchValues.Create("/:% \t\n");

    private readonly FileDescriptor _tun;
    private PacketRing? _ring;
    private bool _receiving = true;

    private TapInterface(string name, FileDescriptor tun)
    {
        Name = name;
        _tun = tun;
    }

    /// <summary>Name of the interface on the host.</summary>
    public string Name { get; }

    /// <inheritdoc/>
    public int Descriptor => _tun.Number;

    /// <summary>Attaches to a tap with one queue, gives its host side an address and brings it up.</summary>
    /// <param name="name">Name of the interface, at most 15 bytes.</param>
    /// <param name="address">IPv4 address of the host's side, or null to leave it as it is.</param>
    /// <param name="mask">IPv4 network mask of the host's side, or null to leave it as it is.</param>
    /// <exception cref="BackendException">The name is impossible, or the kernel refuses; the message says what to do.</exception>
    public static TapInterface Open(string name, IPAddress? address = null, IPAddress? mask = null) => OpenQueues(name, 1, address, mask)[0];

    /// <summary>
    /// Attaches to a tap with so many queues, gives its host side an address and brings it up. Of several queues none receives before
    /// <see cref="SetReceiving"/>.
    /// </summary>
    /// <param name="name">Name of the interface, at most 15 bytes.</param>
    /// <param name="count">Queues, 1 to 256: one for each pair of the card.</param>
    /// <param name="address">IPv4 address of the host's side, or null to leave it as it is.</param>
    /// <param name="mask">IPv4 network mask of the host's side, or null to leave it as it is.</param>
    /// <exception cref="BackendException">The name is impossible, or the kernel refuses; the message says what to do.</exception>
    public static IReadOnlyList<TapInterface> OpenQueues(string name, int count, IPAddress? address = null, IPAddress? mask = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, NetDevice.MaximumPairs);
        CheckName(name);
        if ((address ?? IPAddress.Any).AddressFamily != AddressFamily.InterNetwork
            || (mask ?? IPAddress.Any).AddressFamily != AddressFamily.InterNetwork)
        {
            throw new ArgumentException("the address and the mask of a tap are IPv4");
        }

        var queues = new List<TapInterface>();
        try
        {
            while (queues.Count < count)
            {
                FileDescriptor tun = OpenControl();
                queues.Add(new TapInterface(name, tun));
                Attach(tun, name, several: count > 1, first: queues.Count == 1);
                queues[^1]._ring = PacketRing.TryCreate(tun, NetDevice.MaximumBatch);
            }

            Configure(name, address, mask);
            foreach (TapInterface queue in queues)
            {
                if (count > 1 && !queue.SetReceiving(false))
                {
                    throw new BackendException("TUNSETQUEUE", name, 0, "cannot be told which of its queues receive");
                }
            }

            return queues;
        }
        catch
        {
            queues.ForEach(queue => queue.Dispose());
            throw;
        }
    }

    /// <summary>
    /// Takes the queues of a tap that somebody else has opened: a duplicate of each descriptor, so that they can be taken again after these are
    /// disposed. The interface's address and state stay as they are. Of several queues none receives before <see cref="SetReceiving"/>.
    /// </summary>
    /// <param name="descriptors">
    /// One for each pair of the card, 1 to 256, all of one tap with IFF_VNET_HDR and IFF_NO_PI (a macvtap is one, too). The second is not looked for:
    /// TUNGETIFF uses its bit for something else. What they stand for does not block from now on, for anybody.
    /// </param>
    /// <exception cref="BackendException">One is not such a tap; the message says why.</exception>
    /// <exception cref="ObjectDisposedException">One is closed.</exception>
    public static IReadOnlyList<TapInterface> TakeQueues(IReadOnlyList<SafeFileHandle> descriptors)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        ArgumentOutOfRangeException.ThrowIfLessThan(descriptors.Count, 1, nameof(descriptors));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Count, NetDevice.MaximumPairs, nameof(descriptors));
        var queues = new List<TapInterface>();
        try
        {
            foreach (SafeFileHandle descriptor in descriptors)
            {
                TapInterface queue = Take(descriptor, several: descriptors.Count > 1);
                queues.Add(queue);
                if (queue.Name != queues[0].Name)
                {
                    throw Unfit(descriptor, "TUNGETIFF", 0, $"is the tap {queue.Name}, and another is {queues[0].Name}; all have to be of one");
                }
            }

            return queues;
        }
        catch
        {
            queues.ForEach(queue => queue.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    public NetReceiveResult Receive(GuestBuffers destination, out int length)
    {
        return ResultOf(VectorIo.Receive(_tun, destination, out length));
    }

    /// <inheritdoc/>
    public bool Send(GuestBuffers packet) => VectorIo.Send(_tun, packet) == 0;

    /// <inheritdoc/>
    public NetReceiveResult ReceiveBatch(PacketBatch rooms, Span<int> lengths, out int count)
    {
        ArgumentNullException.ThrowIfNull(rooms);
        if (_ring is null || rooms.Count == 1)
        {
            return INetBackend.ReceiveEach(this, rooms, lengths, out count);
        }

        // An empty tap may get a packet before the next room is tried.
        int tried = Moved(_ring.Read(rooms, lengths), rooms.Count);
        bool gone = lengths[..tried].ContainsAny(-Errno.EBADFD, -Errno.EIO);
        count = rooms.CloseGaps(lengths[..tried]);
        return gone ? NetReceiveResult.Gone : count == rooms.Count ? NetReceiveResult.Packet : NetReceiveResult.Empty;
    }

    /// <inheritdoc/>
    public int SendBatch(PacketBatch packets)
    {
        ArgumentNullException.ThrowIfNull(packets);
        if (_ring is null || packets.Count == 1)
        {
            return INetBackend.SendEach(this, packets);
        }

        Span<int> results = stackalloc int[packets.Count];
        int tried = Moved(_ring.Write(packets, results), packets.Count);
        int dropped = 0;
        for (int i = 0; i < packets.Count; i++)
        {
            dropped += (i < tried ? results[i] > 0 : Send(packets[i])) ? 0 : 1;
        }

        return dropped;
    }

    /// <inheritdoc/>
    public bool SetOffloads(NetOffloads offloads) => Tap.SetOffloads(_tun, (uint)offloads) == 0;

    /// <inheritdoc/>
    public bool SetReceiving(bool receiving)
    {
        if (receiving != _receiving && Tap.SetQueue(_tun, receiving) != 0)
        {
            return false;
        }

        _receiving = receiving;
        return true;
    }

    /// <summary>
    /// Moves packets by a system call each from now on, as where the kernel has no io_uring. On the worker, or before it is handed over.
    /// </summary>
    internal void DoWithoutRing()
    {
        _ring?.Dispose();
        _ring = null;
    }

    /// <summary>Detaches; an interface that was made here is gone then.</summary>
    public void Dispose()
    {
        DoWithoutRing();
        _tun.Dispose();
    }

    private static NetReceiveResult ResultOf(int error) => error switch
    {
        0 => NetReceiveResult.Packet,
        Errno.EBADFD or Errno.EIO => NetReceiveResult.Gone,
        _ => NetReceiveResult.Empty,
    };

    private int Moved(int tried, int wanted)
    {
        if (tried < wanted)
        {
            DoWithoutRing();
        }

        return tried;
    }

    private static TapInterface Take(SafeFileHandle descriptor, bool several)
    {
        int error = DescriptorIo.Duplicate(descriptor, out FileDescriptor tun);
        try
        {
            if (error != 0)
            {
                throw Unfit(descriptor, "fcntl", error, "cannot be duplicated");
            }

            error = Tap.Get(tun, out string name, out short flags);
            string? reason = error != 0 || (flags & Tap.IFF_TAP) == 0 ? "is not a tap"
                : (flags & Tap.IFF_VNET_HDR) == 0 ? "is a tap whose packets have no virtio header; attach to it with IFF_VNET_HDR"
                : several && (flags & Tap.IFF_MULTI_QUEUE) == 0 ? "is a tap with a single queue; attach to it with IFF_MULTI_QUEUE"
                : null;
            if (reason is not null)
            {
                throw Unfit(descriptor, "TUNGETIFF", error, reason);
            }

            // Whoever used it before may have left it with other settings. A queue that is attached refuses to be attached.
            if ((flags & Tap.IFF_MULTI_QUEUE) != 0)
            {
                _ = Tap.SetQueue(tun, attached: true);
            }

            Require(descriptor, "F_SETFL", DescriptorIo.DoNotBlock(tun), "cannot be kept from blocking");
            Require(descriptor, "TUNSETVNETHDRSZ", Tap.SetHeaderSize(tun, NetHeader.Size), "takes no header of virtio 1");
            Require(descriptor, "TUNSETOFFLOAD", Tap.SetOffloads(tun, 0), "cannot be told what its reader does by itself");
            var queue = new TapInterface(name, tun) { _ring = PacketRing.TryCreate(tun, NetDevice.MaximumBatch) };
            if (several && !queue.SetReceiving(false))
            {
                queue.Dispose();
                throw Unfit(descriptor, "TUNSETQUEUE", 0, "cannot be told whether it receives");
            }

            return queue;
        }
        catch
        {
            tun.Dispose();
            throw;
        }
    }

    private static void Require(SafeFileHandle descriptor, string step, int error, string detail)
    {
        if (error != 0)
        {
            throw Unfit(descriptor, step, error, detail);
        }
    }

    private static BackendException Unfit(SafeFileHandle descriptor, string step, int error, string detail) =>
        new(step, string.Create(CultureInfo.InvariantCulture, $"fd={descriptor.DangerousGetHandle()}"), error, detail);

    private static FileDescriptor OpenControl()
    {
        int error = DescriptorIo.Open(ControlPath, Libc.O_RDWR | Libc.O_NONBLOCK, out FileDescriptor tun);
        return error == 0 ? tun : throw new BackendException("open", ControlPath, error, error switch
        {
            Errno.ENOENT or Errno.ENODEV => "is not there; load the module tun",
            Errno.EACCES or Errno.EPERM => "may not be opened; give this user the right to",
            _ => "cannot be opened",
        });
    }

    private static void Attach(FileDescriptor tun, string name, bool several, bool first)
    {
        int error = Tap.Attach(tun, name, NetHeader.Size, several, create: several && first);
        if (error == Errno.EBUSY && several && first)
        {
            // The kernel lets anybody join the queues of a tap that is there. One that is not persistent is there because somebody has it open.
            error = Tap.Attach(tun, name, NetHeader.Size, several, create: false);
            if (error == 0 && (error = Tap.GetPersistent(tun, out bool persistent)) == 0 && !persistent)
            {
                error = Errno.EBUSY;
            }
        }

        if (error != 0)
        {
            throw new BackendException("TUNSETIFF", name, error, error switch
            {
                Errno.EPERM => "may not be attached to; run with CAP_NET_ADMIN, or make it for this user first: "
                    + $"{CreationOf(name, several)} user NAME",
                Errno.EBUSY => "is in use by another machine; give this one a tap of its own",
                Errno.EINVAL when several => "is an interface that is not a tap, or one with a single queue; choose another name, or make it with "
                    + CreationOf(name, several),
                Errno.EINVAL => "is an interface that is not a tap, or one with several queues; choose another name",
                _ => "cannot be attached to",
            });
        }
    }

    private static string CreationOf(string name, bool several) => $"ip tuntap add {name} mode tap{(several ? " multi_queue" : "")}";

    private static void CheckName(string name)
    {
        int length = Encoding.UTF8.GetByteCount(name);
        string? reason = length > MaximumNameLength
            ? $"is a name of {length} bytes; the name of an interface has at most {MaximumNameLength}: choose a shorter one"
            : name is "." or ".." || name.AsSpan().ContainsAny(ForbiddenInNames)
                ? "is not a name for an interface; choose one of letters and digits"
                : null;
        if (reason is not null)
        {
            throw new BackendException("name", name, 0, reason);
        }
    }

    private static void Configure(string name, IPAddress? address, IPAddress? mask)
    {
        using var socket = new FileDescriptor(Libc.socket(Libc.AF_INET, Libc.SOCK_DGRAM | Libc.SOCK_CLOEXEC, 0));
        Check(name, "SIOCSIFADDR", address is null ? 0 : Tap.SetAddress(socket, name, address), $"cannot be given the address {address}");
        Check(name, "SIOCSIFNETMASK", mask is null ? 0 : Tap.SetMask(socket, name, mask), $"cannot be given the mask {mask}");
        Check(name, "SIOCSIFFLAGS", Tap.BringUp(socket, name), "cannot be brought up");
    }

    private static void Check(string name, string step, int error, string detail)
    {
        if (error != 0)
        {
            throw new BackendException(step, name, error, error == Errno.EPERM ? $"{detail}; run with CAP_NET_ADMIN, or set it up first" : detail);
        }
    }
}
