using System;
using System.Threading;
using Vmm.DeviceModel.Memory;

namespace Vmm.DeviceModel.Bus;

/// <summary>
/// Reaches host memory by offset, for accesses that exit all the same: no hypervisor, memory that is not mapped into the guest, or a part that fills
/// no whole page.
/// </summary>
/// <remarks>Each piece is one load or store of its exact width, as a guest's own access would be.</remarks>
public sealed unsafe class HostMemoryHandler : IRegionHandler
{
    private readonly byte* _host;
    private readonly bool _readOnly;

    /// <summary>Makes a handler over a mapping, which must outlive it.</summary>
    /// <param name="memory">The mapping.</param>
    /// <param name="offset">Where in the mapping the handler's offset 0 lies, in bytes. The user's accesses stay inside the mapping.</param>
    /// <param name="readOnly">Writes are dropped.</param>
    /// <exception cref="ArgumentException">The offset does not lie inside the mapping, or that is read-only and the handler is not.</exception>
    public HostMemoryHandler(HostMemory memory, ulong offset = 0, bool readOnly = false)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, memory.Length);
        memory.RequireWritable(!readOnly);
        _host = memory.Pointer + offset;
        _readOnly = readOnly;
    }

    /// <summary>Host address of the first byte.</summary>
    internal nint Host => (nint)_host;

    /// <inheritdoc/>
    public ulong Read(ulong offset, int width)
    {
        byte* at = _host + offset;
        return width switch
        {
            1 => Volatile.Read(ref *at),
            2 => Volatile.Read(ref *(ushort*)at),
            4 => Volatile.Read(ref *(uint*)at),
            _ => Volatile.Read(ref *(ulong*)at),
        };
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value)
    {
        if (_readOnly)
        {
            return;
        }

        byte* at = _host + offset;
        switch (width)
        {
            case 1:
                Volatile.Write(ref *at, (byte)value);
                break;
            case 2:
                Volatile.Write(ref *(ushort*)at, (ushort)value);
                break;
            case 4:
                Volatile.Write(ref *(uint*)at, (uint)value);
                break;
            default:
                Volatile.Write(ref *(ulong*)at, value);
                break;
        }
    }
}
