using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.Pci.Access;

namespace Vmm.Conformance.Driving;

/// <summary>The way to the function that one check is lent: it can be taken back, and it remembers what is mapped.</summary>
/// <remarks>Accesses from any thread. The lock covers the list of buffers.</remarks>
internal sealed class GuardedAccess(IPciFunctionAccess inner) : IPciFunctionAccess
{
    private readonly Lock _lock = new();
    private readonly List<IDmaBuffer> _buffers = [];
    private volatile bool _revoked;

    public int MessageVectors => Inner.MessageVectors;

    public bool HasPin => Inner.HasPin;

    private IPciFunctionAccess Inner => _revoked ? throw new CheckAbandonedException() : inner;

    /// <summary>From now on every access ends the check.</summary>
    public void Revoke() => _revoked = true;

    /// <summary>Ends the check here if its time is over.</summary>
    public void ThrowIfRevoked() => _ = Inner;

    /// <summary>Unmaps what the check mapped. The device has been reset, and the check has ended.</summary>
    public void ReleaseBuffers()
    {
        lock (_lock)
        {
            foreach (IDmaBuffer buffer in _buffers)
            {
                buffer.Dispose();
            }

            _buffers.Clear();
        }
    }

    public uint ReadConfiguration(int offset, int width) => Inner.ReadConfiguration(offset, width);

    public void WriteConfiguration(int offset, int width, uint value) => Inner.WriteConfiguration(offset, width, value);

    public ulong GetBarLength(int bar) => Inner.GetBarLength(bar);

    public ulong ReadBar(int bar, ulong offset, int width) => Inner.ReadBar(bar, offset, width);

    public void WriteBar(int bar, ulong offset, int width, ulong value) => Inner.WriteBar(bar, offset, width, value);

    public void EnableMessages(int count, Action<int> signalled) => Inner.EnableMessages(count, signalled);

    public void EnablePin(Action asserted) => Inner.EnablePin(asserted);

    public void PinServed() => Inner.PinServed();

    public void DisableInterrupts() => Inner.DisableInterrupts();

    public IDmaBuffer MapBuffer(int length)
    {
        IDmaBuffer buffer = Inner.MapBuffer(length);
        lock (_lock)
        {
            _buffers.Add(buffer);
        }

        return buffer;
    }
}
