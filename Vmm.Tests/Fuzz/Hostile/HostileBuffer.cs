using System;
using Vmm.Pci.Access;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>Memory that was mapped for a lying device, which gets a turn whenever the driver comes to it.</summary>
internal sealed class HostileBuffer(HostileDevice device, ulong iova, int length) : IDmaBuffer
{
    /// <summary>What memory is filled with when it is unmapped: it has to stay that.</summary>
    public const byte Gone = 0xdd;

    public byte[] Bytes { get; } = GC.AllocateArray<byte>(length, pinned: true);

    public ulong Iova => iova;

    public bool IsDisposed { get; private set; }

    public Span<byte> Span
    {
        get
        {
            device.Touched(this);
            return Bytes;
        }
    }

    public void Dispose()
    {
        if (!IsDisposed)
        {
            IsDisposed = true;
            device.Unmapped(this);
        }
    }
}
