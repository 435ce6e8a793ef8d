using System;
using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Vmm.Virtio.Interop;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>A tap interface of the host as the other end of a network card.</summary>
/// <remarks>
/// An interface of the name is used if there is one, else made; one that was made here disappears with its descriptor, so that nothing is
/// left behind however the process ends. Belongs to the device's worker once it is handed over.
/// </remarks>
public sealed class TapInterface : INetBackend
{
    private const string ControlPath = "/dev/net/tun";
    private const int MaximumNameLength = Tap.IFNAMSIZ - 1;

    private static readonly SearchValues<char> ForbiddenInNames = SearchValues.Create("/:% \t\n");

    private readonly FileDescriptor _tun;

    private TapInterface(string name, FileDescriptor tun)
    {
        Name = name;
        _tun = tun;
    }

    /// <summary>Name of the interface on the host.</summary>
    public string Name { get; }

    /// <inheritdoc/>
    public int Descriptor => _tun.Number;

    /// <summary>Attaches to a tap, gives its host side an address and brings it up.</summary>
    /// <param name="name">Name of the interface, at most 15 bytes.</param>
    /// <param name="address">IPv4 address of the host's side, or null to leave it as it is.</param>
    /// <param name="mask">IPv4 network mask of the host's side, or null to leave it as it is.</param>
    /// <exception cref="BackendException">The name is impossible, or the kernel refuses; the message says what to do.</exception>
    public static TapInterface Open(string name, IPAddress? address = null, IPAddress? mask = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        CheckName(name);
        if ((address ?? IPAddress.Any).AddressFamily != AddressFamily.InterNetwork
            || (mask ?? IPAddress.Any).AddressFamily != AddressFamily.InterNetwork)
        {
            throw new ArgumentException("the address and the mask of a tap are IPv4");
        }

        int error = DescriptorIo.Open(ControlPath, Libc.O_RDWR | Libc.O_NONBLOCK, out FileDescriptor tun);
        if (error != 0)
        {
            throw new BackendException("open", ControlPath, error, error switch
            {
                Libc.ENOENT or Libc.ENODEV => "is not there; load the module tun",
                Libc.EACCES or Libc.EPERM => "may not be opened; give this user the right to",
                _ => "cannot be opened",
            });
        }

        try
        {
            error = Tap.Attach(tun, name, NetDevice.HeaderSize);
            if (error != 0)
            {
                throw new BackendException("TUNSETIFF", name, error, error switch
                {
                    Libc.EPERM => $"may not be attached to; run with CAP_NET_ADMIN, or make it for this user first: ip tuntap add {name} mode tap user NAME",
                    Libc.EBUSY => "is in use by another machine; give this one a tap of its own",
                    Libc.EINVAL => "is an interface that is not a tap, or one with several queues; choose another name",
                    _ => "cannot be attached to",
                });
            }

            Configure(name, address, mask);
            return new TapInterface(name, tun);
        }
        catch
        {
            tun.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public NetReceiveResult Receive(GuestBuffers destination, out int length)
    {
        int error = DescriptorIo.Receive(_tun, destination, out length);
        return error switch
        {
            0 => NetReceiveResult.Packet,
            Libc.EAGAIN => NetReceiveResult.Empty,
            Libc.EBADFD => NetReceiveResult.Gone,
            _ => NetReceiveResult.Empty,
        };
    }

    /// <inheritdoc/>
    public bool Send(GuestBuffers packet) => DescriptorIo.Send(_tun, packet) == 0;

    /// <inheritdoc/>
    public bool SetOffloads(NetOffloads offloads) => Tap.SetOffloads(_tun, (uint)offloads) == 0;

    /// <summary>Detaches; an interface that was made here is gone then.</summary>
    public void Dispose() => _tun.Dispose();

    private static void CheckName(string name)
    {
        int length = Encoding.UTF8.GetByteCount(name);
        string? reason = length > MaximumNameLength
            ? $"is a name of {length} bytes; the name of an interface has at most {MaximumNameLength}: choose a shorter one"
            : name is "." or ".." || name.AsSpan().ContainsAny(ForbiddenInNames)
                ? "is not a name for an interface; choose one of letters and digits"
                : null;
        if (reason != null)
        {
            throw new BackendException("name", name, 0, reason);
        }
    }

    private static void Configure(string name, IPAddress? address, IPAddress? mask)
    {
        using var socket = new FileDescriptor(Libc.socket(Libc.AF_INET, Libc.SOCK_DGRAM | Libc.SOCK_CLOEXEC, 0));
        Check(name, "SIOCSIFADDR", address == null ? 0 : Tap.SetAddress(socket, name, address), $"cannot be given the address {address}");
        Check(name, "SIOCSIFNETMASK", mask == null ? 0 : Tap.SetMask(socket, name, mask), $"cannot be given the mask {mask}");
        Check(name, "SIOCSIFFLAGS", Tap.BringUp(socket, name), "cannot be brought up");
    }

    private static void Check(string name, string step, int error, string detail)
    {
        if (error != 0)
        {
            throw new BackendException(step, name, error, error == Libc.EPERM ? $"{detail}; run with CAP_NET_ADMIN, or set it up first" : detail);
        }
    }
}
