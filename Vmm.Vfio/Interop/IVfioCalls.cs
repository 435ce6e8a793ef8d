using System.Collections.Generic;

namespace Vmm.Vfio.Interop;

/// <summary>What VFIO needs of the kernel: the seam under which all of this assembly is tested without a device.</summary>
internal interface IVfioCalls
{
    /// <summary>What may be locked in memory, in bytes (RLIMIT_MEMLOCK); the greatest value for no limit.</summary>
    ulong LockedMemoryLimit { get; }

    /// <summary>Opens for reading and writing.</summary>
    /// <param name="path">A device node.</param>
    /// <param name="errno">Why not, else 0.</param>
    /// <returns>The file, or null.</returns>
    IKernelFile? Open(string path, out int errno);

    /// <summary>Takes ownership of a descriptor that a call has returned.</summary>
    IKernelFile Adopt(int descriptor);

    /// <summary>Whether there is a file, directory or node.</summary>
    bool Exists(string path);

    /// <summary>The last component of what a link points to, all links followed; null if there is no such link.</summary>
    string? ReadLinkName(string path);

    /// <summary>The text of a small file without the white space around it; null if it cannot be read.</summary>
    string? ReadText(string path);

    /// <summary>Names in a directory, sorted; empty if there is none.</summary>
    IReadOnlyList<string> List(string path);
}
