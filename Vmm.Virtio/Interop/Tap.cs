using System;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Vmm.DeviceModel.Interop;

namespace Vmm.Virtio.Interop;

/// <summary>Requests of linux/if_tun.h and linux/sockios.h; every method gives 0 or an error number.</summary>
internal static unsafe class Tap
{
    public const int IFNAMSIZ = 16;

    private const nuint TUNSETIFF = 0x400454ca;
    private const nuint TUNSETOFFLOAD = 0x400454d0;
    private const nuint TUNSETVNETHDRSZ = 0x400454d8;
    private const nuint TUNSETQUEUE = 0x400454d9;
    private const nuint TUNGETIFF = 0x800454d2;

    public const short IFF_TAP = 0x0002;
    public const short IFF_NO_PI = 0x1000;
    public const short IFF_VNET_HDR = 0x4000;
    public const short IFF_MULTI_QUEUE = 0x0100;

    private const short IFF_ATTACH_QUEUE = 0x0200;
    private const short IFF_DETACH_QUEUE = 0x0400;
    private const short IFF_PERSIST = 0x0800;
    private const int IFF_TUN_EXCL = 0x8000;
    private const short IFF_UP = 1;

    private const nuint SIOCGIFFLAGS = 0x8913;
    private const nuint SIOCSIFFLAGS = 0x8914;
    private const nuint SIOCSIFADDR = 0x8916;
    private const nuint SIOCSIFNETMASK = 0x891c;

    /// <summary>Attaches to a tap, which is made if there is none of the name; packets carry a virtio header.</summary>
    /// <param name="tun">A new descriptor of the tun driver.</param>
    /// <param name="name">Name of the interface.</param>
    /// <param name="headerSize">Bytes of the header.</param>
    /// <param name="several">The descriptor is one queue of several.</param>
    /// <param name="create">Give EBUSY if there is an interface of the name.</param>
    public static int Attach(FileDescriptor tun, string name, int headerSize, bool several, bool create)
    {
        ifreq request = Request(name);
        request.flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0) | (create ? IFF_TUN_EXCL : 0));
        int error = Control(tun, TUNSETIFF, &request);
        return error != 0 ? error : SetHeaderSize(tun, headerSize);
    }

    /// <summary>Whether the tap stays when its last descriptor is closed.</summary>
    public static int GetPersistent(FileDescriptor tun, out bool persistent)
    {
        int error = Get(tun, out _, out short flags);
        persistent = (flags & IFF_PERSIST) != 0;
        return error;
    }

    /// <summary>The interface that a descriptor is attached to: its name, and IFF_TAP, IFF_VNET_HDR and others.</summary>
    public static int Get(FileDescriptor tun, out string name, out short flags)
    {
        ifreq request = default;
        int error = Control(tun, TUNGETIFF, &request);
        var bytes = new ReadOnlySpan<byte>(request.name, IFNAMSIZ);
        int end = bytes.IndexOf((byte)0);
        name = Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
        flags = request.flags;
        return error;
    }

    /// <summary>Has packets of a tap that somebody else attached carry a virtio header of this size.</summary>
    public static int SetHeaderSize(FileDescriptor tun, int size) => Control(tun, TUNSETVNETHDRSZ, &size);

    /// <summary>Lets the kernel steer packets to a queue of several, or no more; those that wait in it are lost then.</summary>
    public static int SetQueue(FileDescriptor tun, bool attached)
    {
        ifreq request = default;
        request.flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
        return Control(tun, TUNSETQUEUE, &request);
    }

    /// <summary>Says what the reader of the tap can do by itself; the value goes in the argument, not behind it.</summary>
    public static int SetOffloads(FileDescriptor tun, uint offloads) => Control(tun, TUNSETOFFLOAD, (void*)offloads);

    public static int SetAddress(FileDescriptor socket, string name, IPAddress address) => SetAddress(socket, SIOCSIFADDR, name, address);

    public static int SetMask(FileDescriptor socket, string name, IPAddress mask) => SetAddress(socket, SIOCSIFNETMASK, name, mask);

    /// <summary>Brings an interface up; one that is up already needs no right to.</summary>
    public static int BringUp(FileDescriptor socket, string name)
    {
        ifreq request = Request(name);
        int error = Control(socket, SIOCGIFFLAGS, &request);
        if (error != 0 || (request.flags & IFF_UP) != 0)
        {
            return error;
        }

        request.flags |= IFF_UP;
        return Control(socket, SIOCSIFFLAGS, &request);
    }

    private static int SetAddress(FileDescriptor socket, nuint operation, string name, IPAddress address)
    {
        ifreq request = Request(name);
        var destination = new Span<byte>(&request.address, sizeof(sockaddr_in));
        var value = new sockaddr_in { sin_family = Libc.AF_INET };
        address.TryWriteBytes(new Span<byte>(&value.sin_addr, sizeof(uint)), out _);
        MemoryMarshal.Write(destination, value);
        return Control(socket, operation, &request);
    }

    private static int Control(FileDescriptor descriptor, nuint operation, void* argument)
    {
        int result;
        do
        {
            result = Libc.ioctl(descriptor, operation, (nuint)argument);
        }
        while (Libc.WasInterrupted(result));
        return Libc.ErrorOf(result);
    }

    private static ifreq Request(string name)
    {
        ifreq request = default;
        Encoding.UTF8.GetBytes(name, new Span<byte>(request.name, IFNAMSIZ - 1));
        return request;
    }

    /// <summary>struct ifreq.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 40)]
    private struct ifreq
    {
        [FieldOffset(0)]
        public fixed byte name[IFNAMSIZ];

        [FieldOffset(16)]
        public short flags;

        [FieldOffset(16)]
        public sockaddr_in address;
    }

    /// <summary>struct sockaddr_in; the address is in the order of the wire.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 16)]
    private struct sockaddr_in
    {
        public ushort sin_family;
        public ushort sin_port;
        public uint sin_addr;
    }
}
