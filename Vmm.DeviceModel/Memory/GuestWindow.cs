using System;

namespace Vmm.DeviceModel.Memory;

/// <summary>A checked run of guest bytes that cannot escape to the heap.</summary>
public readonly unsafe ref struct GuestWindow
{
    private readonly byte* _host;

    internal GuestWindow(byte* host, int length)
    {
        _host = host;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The bytes. The guest may change them at any time: copy once, then look at the copy (MEM-3).</summary>
    public Span<byte> Span => new(_host, Length);

    /// <summary>Host address of the first byte.</summary>
    internal byte* Host => _host;
}
