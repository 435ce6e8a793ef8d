using System;
using System.Runtime.InteropServices;

namespace Vmm.Tests.Fakes;

/// <summary>A kind of interrupt of a <see cref="FakeVfioDevice"/>.</summary>
internal sealed partial class FakeVfioInterrupt(uint count, uint flags)
{
    public uint Count { get; set; } = count;

    /// <summary>As in linux/vfio.h.</summary>
    public uint Flags { get; set; } = flags;

    /// <summary>Descriptors, -1 for none; null while the kind is disabled.</summary>
    public int[]? Triggers { get; set; }

    /// <summary>How often the kind was enabled.</summary>
    public int Enabled { get; set; }

    /// <summary>
    /// Asked before the kind is enabled with so many interrupts: 0 lets it, a positive number is the kernel's answer that only so many are available,
    /// at which nothing is enabled.
    /// </summary>
    public Func<uint, int>? Available { get; set; }

    /// <summary>Adds 1 to an eventfd.</summary>
    public static unsafe void Write(int descriptor)
    {
        ulong one = 1;
        write(descriptor, &one, sizeof(ulong)).Should().Be(8);
    }

    [LibraryImport("libc")]
    private static unsafe partial nint write(int descriptor, void* buffer, nuint length);
}
