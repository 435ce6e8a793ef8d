using System;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>What sort of liar a device is. Rates are one in so many, 0 for never.</summary>
internal sealed class HostileProfile
{
    private static readonly ushort[] _sizes = [16, 16, 16, 64, 64, 256, 4, 2, 2, 1, 3, 100, 32768, 65535, 0];

    public HostileProfile(ulong seed)
    {
        Seed = seed;
        var random = new Random((int)(seed ^ (seed >> 32)));
        Kind = (DriverKind)random.Next(5);
        Damage = random.Next(12) switch { < 8 => 0, < 10 => 1, < 11 => 2, _ => 3 };
        RegisterLies = Pick(random, 0, 0, 2000, 300, 50, 6);
        RingLies = Pick(random, 0, 0, 60, 12, 3);
        Interrupts = Pick(random, 0, 20, 3);
        Service = Pick(random, 1, 1, 1, 2, 8);
        HasSecondThread = RingLies > 0 && random.Next(4) == 0;
        Queues = (ushort)Pick(random, 3, 3, 4, 4, 8, 2, 1, 0, 65535);
        Features = (random.Next(40) == 0 ? 0 : TransportFeatures.Version1)
            | ((ulong)random.NextInt64() & (VirtioDriverOptions.TransportFeaturesSpoken | TransportFeatures.AccessPlatform))
            | ((ulong)random.NextInt64() & 0xff_ffff)
            | (random.Next(10) == 0 ? (ulong)random.NextInt64() : 0);
        Messages = Pick(random, 0, 1, 2, 3, 8, 2048);
        HasPin = random.Next(2) == 0;
        if (random.Next(4) == 0)
        {
            // One register always gives the same, whatever is written: a status that is never 0, a reset that never ends.
            Stuck = Pick(random, 0x00, 0x04, 0x10, 0x12, 0x14, 0x14, 0x15, 0x18, 0x1a, 0x1c, 0x1e, 0x38, 0x3a);
            StuckValue = Interesting(random);
        }
    }

    public ulong Seed { get; }

    public DriverKind Kind { get; }

    /// <summary>What it says it is, by number.</summary>
    public int DeviceType => (int)(Kind switch
    {
        DriverKind.Net => VirtioDeviceType.Net,
        DriverKind.Console => VirtioDeviceType.Console,
        DriverKind.Entropy => VirtioDeviceType.Entropy,
        _ => VirtioDeviceType.Block,
    });

    /// <summary>To configuration space: none, structures that cannot be, some bytes, all of it.</summary>
    public int Damage { get; }

    public int RegisterLies { get; }

    public int RingLies { get; }

    public int Interrupts { get; }

    /// <summary>How often a request is answered when the device comes to it.</summary>
    public int Service { get; }

    /// <summary>
    /// Memory is written and interrupts come also while the driver is in the middle of something. That does not follow from the seed.
    /// </summary>
    public bool HasSecondThread { get; }

    public ushort Queues { get; }

    public ulong Features { get; }

    public int Messages { get; }

    public bool HasPin { get; }

    /// <summary>Offset of a register of the common configuration that is stuck.</summary>
    public int? Stuck { get; }

    public ulong StuckValue { get; }

    /// <summary>Descriptors of a queue.</summary>
    public ushort SizeOf(ushort queue) => queue < Queues ? _sizes[(Seed + queue) % (ulong)_sizes.Length] : (ushort)0;

    /// <summary>Values that have undone programs before.</summary>
    public static ulong Interesting(Random random) => random.Next(8) switch
    {
        0 => 0,
        1 => ulong.MaxValue,
        2 => (ulong)random.Next(4),
        3 => 1UL << random.Next(64),
        4 => (1UL << random.Next(64)) - 1,
        5 => 0x8000,
        _ => (ulong)random.NextInt64() << random.Next(2),
    };

    private static int Pick(Random random, params ReadOnlySpan<int> from) => from[random.Next(from.Length)];
}
