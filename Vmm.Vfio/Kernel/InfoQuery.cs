using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>Asks for structures that start with their size and may be followed by a chain of capabilities (VFIO-1).</summary>
internal static unsafe class InfoQuery
{
    // Far above what any kernel answers: a size that would only be a lie.
    private const uint Limit = 1 << 20;
    private const int Rounds = 8;

    /// <summary>Asks, and asks again with the size that the kernel says it needs.</summary>
    /// <param name="file">Whom.</param>
    /// <param name="request">What for.</param>
    /// <param name="question">The structure; its first field is overwritten with the size.</param>
    /// <param name="answer">The structure and what follows it.</param>
    /// <returns>0 or more, or the negated errno; EMSGSIZE if the kernel never has enough.</returns>
    public static int Ask<T>(IKernelFile file, uint request, in T question, out byte[] answer)
        where T : unmanaged
    {
        answer = new byte[sizeof(T)];
        for (int round = 0; round < Rounds; round++)
        {
            MemoryMarshal.Write(answer, in question);
            MemoryMarshal.Write(answer, (uint)answer.Length);
            int result = file.Ioctl(request, answer);
            if (result < 0)
            {
                return result;
            }

            uint needed = MemoryMarshal.Read<uint>(answer);
            if (needed <= (uint)answer.Length)
            {
                return result;
            }

            if (needed > Limit)
            {
                break;
            }

            answer = new byte[needed];
        }

        return -Errno.EMSGSIZE;
    }

    /// <summary>Walks a chain of capabilities.</summary>
    /// <param name="answer">The structure and what follows it.</param>
    /// <param name="header">Bytes of the structure, in which no capability can lie.</param>
    /// <param name="first">Offset of the first capability, or 0.</param>
    /// <returns>Identifier and offset of each; null if the chain leaves the answer or bites its tail.</returns>
    public static IReadOnlyList<(ushort Id, int Offset)>? Walk(byte[] answer, int header, uint first)
    {
        var found = new List<(ushort, int)>();
        for (uint at = first; at != 0;)
        {
            if (at < (uint)header || !GuestRange.Fits(at, (ulong)sizeof(vfio_info_cap_header), (ulong)answer.Length)
                || found.Count * sizeof(vfio_info_cap_header) >= answer.Length)
            {
                return null;
            }

            vfio_info_cap_header link = Read<vfio_info_cap_header>(answer, (int)at);
            found.Add((link.id, (int)at));
            at = link.next;
        }

        return found;
    }

    /// <summary>Reads the elements of an array that follows a capability's header.</summary>
    /// <param name="answer">The structure and what follows it.</param>
    /// <param name="offset">Where the array starts.</param>
    /// <param name="count">How many elements the capability says it has.</param>
    /// <returns>Null if they do not lie in the answer.</returns>
    public static T[]? ReadArray<T>(byte[] answer, int offset, uint count)
        where T : unmanaged
    {
        return GuestRange.Fits((ulong)offset, (ulong)count * (ulong)sizeof(T), (ulong)answer.Length)
            ? MemoryMarshal.Cast<byte, T>(answer.AsSpan(offset, (int)count * sizeof(T))).ToArray()
            : null;
    }

    /// <summary>Reads a structure, if it lies in the answer.</summary>
    public static bool TryRead<T>(byte[] answer, int offset, out T value)
        where T : unmanaged
    {
        bool fits = GuestRange.Fits((ulong)offset, (ulong)sizeof(T), (ulong)answer.Length);
        value = fits ? Read<T>(answer, offset) : default;
        return fits;
    }

    private static T Read<T>(byte[] answer, int offset)
        where T : unmanaged => MemoryMarshal.Read<T>(answer.AsSpan(offset));
}
