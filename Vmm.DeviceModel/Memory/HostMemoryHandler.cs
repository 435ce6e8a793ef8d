using System.Threading;
using Vmm.DeviceModel.Bus;

namespace Vmm.DeviceModel.Memory;

/// <summary>Answers accesses to host memory that exit all the same: no hypervisor, or a part that fills no whole page.</summary>
/// <remarks>Each piece is one load or store of its exact width, as a guest's own access would be.</remarks>
internal sealed unsafe class HostMemoryHandler : IRegionHandler
{
    private readonly byte* _host;
    private readonly bool _readOnly;

    public HostMemoryHandler(HostMemory memory, ulong offset, bool readOnly)
    {
        _host = memory.Pointer + offset;
        _readOnly = readOnly;
    }

    /// <summary>Host address of the first byte.</summary>
    public nint Host => (nint)_host;

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
