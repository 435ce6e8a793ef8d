using System;

namespace Vmm.DeviceModel.Memory;

/// <summary>A mapping of host memory that we own: anonymous, memfd or file-backed (MEM-6).</summary>
/// <remarks>Unmapped at disposal; who disposes makes sure that nobody uses it (remove its regions first).</remarks>
public sealed unsafe class HostMemory : IDisposable
{
    /// <summary>Private anonymous memory.</summary>
    /// <param name="length">Bytes, rounded up to the page size.</param>
    /// <param name="hugePages">Ask for transparent huge pages.</param>
    public static HostMemory AllocateAnonymous(ulong length, bool hugePages = false) => throw new NotImplementedException();

    /// <summary>Shared memory behind a memfd, whose descriptor can be passed to another process.</summary>
    /// <param name="name">Shown in /proc/PID/maps.</param>
    /// <param name="length">Bytes, rounded up to the page size (to the huge page size with <paramref name="hugeTlb"/>).</param>
    /// <param name="hugeTlb">Back it with reserved huge pages of 2 MiB.</param>
    public static HostMemory AllocateShared(string name, ulong length, bool hugeTlb = false) => throw new NotImplementedException();

    /// <summary>Maps a part of an open descriptor.</summary>
    /// <param name="descriptor">File, memfd or device; duplicated, the caller keeps its own.</param>
    /// <param name="offset">Page-aligned offset in bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="writable">Map for writing too.</param>
    public static HostMemory MapDescriptor(int descriptor, ulong offset, ulong length, bool writable) => throw new NotImplementedException();

    /// <summary>First byte.</summary>
    public byte* Pointer => throw new NotImplementedException();

    /// <summary>Bytes.</summary>
    public ulong Length => throw new NotImplementedException();

    /// <summary>The descriptor behind shared memory, or -1.</summary>
    public int Descriptor => throw new NotImplementedException();

    /// <summary>Where the mapping starts in the descriptor, in bytes.</summary>
    public ulong DescriptorOffset => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Dispose() => throw new NotImplementedException();
}
