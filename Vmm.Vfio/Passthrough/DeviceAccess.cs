using System;
using System.Buffers.Binary;
using System.Threading;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>Accesses of exact width to a device: a failed read is all-ones, a failed write is dropped, both are counted (VFIO-13).</summary>
/// <remarks>Thread-safe, allocates nothing, never throws.</remarks>
internal sealed class DeviceAccess(IPciDeviceBackend backend)
{
    private long _failedReads;
    private long _failedWrites;

    public long FailedReads => Volatile.Read(ref _failedReads);

    public long FailedWrites => Volatile.Read(ref _failedWrites);

    public ulong Read(PciRegionIndex region, ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        if (!backend.TryRead(region, offset, bytes[..width]))
        {
            Interlocked.Increment(ref _failedReads);
            return ulong.MaxValue >> (64 - (width * 8));
        }

        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Write(PciRegionIndex region, ulong offset, int width, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        if (!backend.TryWrite(region, offset, bytes[..width]))
        {
            Interlocked.Increment(ref _failedWrites);
        }
    }
}
