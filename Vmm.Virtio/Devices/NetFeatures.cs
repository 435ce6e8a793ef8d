namespace Vmm.Virtio.Devices;

/// <summary>Feature bits of the network device (virtio 1.2, 5.1.3).</summary>
internal static class NetFeatures
{
    public const ulong Checksum = 1UL << 0;
    public const ulong GuestChecksum = 1UL << 1;
    public const ulong ControlGuestOffloads = 1UL << 2;
    public const ulong Mtu = 1UL << 3;
    public const ulong Mac = 1UL << 5;
    public const ulong GuestTso4 = 1UL << 7;
    public const ulong GuestTso6 = 1UL << 8;
    public const ulong GuestEcn = 1UL << 9;
    public const ulong HostTso4 = 1UL << 11;
    public const ulong HostTso6 = 1UL << 12;
    public const ulong HostEcn = 1UL << 13;
    public const ulong MergeableBuffers = 1UL << 15;
    public const ulong Status = 1UL << 16;
    public const ulong ControlQueue = 1UL << 17;
    public const ulong ControlReceiveMode = 1UL << 18;
    public const ulong MultiQueue = 1UL << 22;
    public const ulong ControlMacAddress = 1UL << 23;

    /// <summary>What CTRL_GUEST_OFFLOADS switches (5.1.6.5.8).</summary>
    public const ulong GuestOffloads = GuestChecksum | GuestTso4 | GuestTso6 | GuestEcn;

    /// <summary>Each bit and what it needs one of (5.1.3.1).</summary>
    public static bool DependenciesHold(ulong features)
    {
        return Holds(features, GuestTso4 | GuestTso6, GuestChecksum)
            && Holds(features, GuestEcn, GuestTso4 | GuestTso6)
            && Holds(features, HostTso4 | HostTso6, Checksum)
            && Holds(features, HostEcn, HostTso4 | HostTso6)
            && Holds(features, ControlReceiveMode | MultiQueue | ControlMacAddress, ControlQueue);
    }

    /// <summary>Offloads that the driver handles in packets that it receives.</summary>
    public static NetOffloads ReceiveOffloads(ulong features) => Offloads(features, GuestChecksum, GuestTso4, GuestTso6, GuestEcn);

    /// <summary>Offloads that the back-end does for the driver in packets that it sends.</summary>
    public static NetOffloads TransmitOffloads(ulong features) => Offloads(features, Checksum, HostTso4, HostTso6, HostEcn);

    private static NetOffloads Offloads(ulong features, ulong checksum, ulong tso4, ulong tso6, ulong ecn)
    {
        return ((features & checksum) != 0 ? NetOffloads.Checksum : 0)
            | ((features & tso4) != 0 ? NetOffloads.Tso4 : 0)
            | ((features & tso6) != 0 ? NetOffloads.Tso6 : 0)
            | ((features & ecn) != 0 ? NetOffloads.TsoEcn : 0);
    }

    private static bool Holds(ulong features, ulong any, ulong need) => (features & any) == 0 || (features & need) != 0;
}
