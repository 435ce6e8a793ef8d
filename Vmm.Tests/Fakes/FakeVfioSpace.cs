using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>The I/O address space of a container or an iommufd.</summary>
internal abstract class FakeVfioSpace(FakeVfioKernel kernel, string path) : FakeVfioFile(kernel, path)
{
    /// <summary>What is mapped: by IOVA, length, host address and whether devices may write.</summary>
    public SortedDictionary<ulong, (ulong Length, ulong Host, bool Writable)> Mappings { get; } = [];

    /// <summary>Copies memory as a device of this space would read it; false if any byte is not mapped.</summary>
    public unsafe bool TryRead(ulong iova, Span<byte> destination, bool write = false)
    {
        for (int i = 0; i < destination.Length; i++)
        {
            ulong at = iova + (ulong)i;
            (ulong start, (ulong Length, ulong Host, bool Writable) mapping) =
                Mappings.FirstOrDefault(m => at >= m.Key && at - m.Key < m.Value.Length);
            if (mapping.Length == 0 || (write && !mapping.Writable))
            {
                return false;
            }

            byte* host = (byte*)(mapping.Host + (at - start));
            if (write)
            {
                *host = destination[i];
            }
            else
            {
                destination[i] = *host;
            }
        }

        return true;
    }

    protected int Map(string step, ulong iova, ulong length, ulong host, bool writable)
    {
        int refused = Note(step, FormattableString.Invariant($"0x{iova:x}+0x{length:x}{(writable ? "" : " read-only")}"));
        if (refused != 0)
        {
            return refused;
        }

        if (length == 0 || ((iova | length | host) & 0xfff) != 0
            || !Kernel.IovaRanges.Any(range => iova >= range.First && iova + (length - 1) <= range.Last && iova + (length - 1) >= iova))
        {
            return -Errno.EINVAL;
        }

        if (Mappings.Any(m => iova <= m.Key + (m.Value.Length - 1) && m.Key <= iova + (length - 1)))
        {
            return -Errno.EEXIST;
        }

        if (Mappings.Count >= Kernel.MappingLimit)
        {
            return -Errno.ENOSPC;
        }

        if (Kernel.Spaces.SelectMany(space => space.Mappings.Values).Aggregate(length, (sum, m) => sum + m.Length) > Kernel.LockedMemoryLimit)
        {
            return -Errno.ENOMEM;
        }

        Mappings.Add(iova, (length, host, writable));
        return 0;
    }

    protected int Unmap(string step, ulong iova, ulong length, out ulong unmapped)
    {
        unmapped = 0;
        int refused = Note(step, FormattableString.Invariant($"0x{iova:x}+0x{length:x}"));
        if (refused != 0)
        {
            return refused;
        }

        if (Mappings.TryGetValue(iova, out (ulong Length, ulong Host, bool Writable) mapping) && mapping.Length == length)
        {
            Mappings.Remove(iova);
            unmapped = length;
        }

        return 0;
    }
}
