using System;
using Vmm.Pci.Access;

namespace Vmm.Virtio.Driver;

/// <summary>Memory of a caller's that a driver has mapped: disposed by either, once, and forgotten by the driver then.</summary>
/// <param name="inner">The mapping.</param>
/// <param name="disposed">Told of the disposal.</param>
internal sealed class CallerMapping(IDmaMapping inner, Action<CallerMapping> disposed) : IDmaMapping
{
    private bool _disposed;

    public ulong Iova => inner.Iova;

    public ulong Length => inner.Length;

    public ulong Translate(ulong offset, ulong length) => inner.Translate(offset, length);

    public bool TryTranslate(ReadOnlySpan<byte> part, out ulong iova) => inner.TryTranslate(part, out iova);

    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            disposed(this);
            inner.Dispose();
        }
    }
}
