using System;
using System.Collections.Generic;
using Vmm.Pci.Access;

namespace Vmm.Conformance.Rings;

/// <summary>The way to a function with the memory that was mapped through it, so that a check can look into what a driver laid out.</summary>
/// <remarks>Memory is mapped and looked at by the thread of the check.</remarks>
internal sealed class RecordingAccess(IPciFunctionAccess inner) : IPciFunctionAccess
{
    private readonly List<IDmaBuffer> _buffers = [];

    public int MessageVectors => inner.MessageVectors;

    public bool HasPin => inner.HasPin;

    /// <summary>Memory from a device address on, to the end of what was mapped there.</summary>
    public Span<byte> MemoryAt(ulong iova)
    {
        for (int i = _buffers.Count - 1; i >= 0; i--)
        {
            Span<byte> memory = _buffers[i].Span;
            if (iova >= _buffers[i].Iova && iova - _buffers[i].Iova < (ulong)memory.Length)
            {
                return memory[(int)(iova - _buffers[i].Iova)..];
            }
        }

        throw new ArgumentOutOfRangeException(nameof(iova), iova, "nothing is mapped there");
    }

    public uint ReadConfiguration(int offset, int width) => inner.ReadConfiguration(offset, width);

    public void WriteConfiguration(int offset, int width, uint value) => inner.WriteConfiguration(offset, width, value);

    public ulong GetBarLength(int bar) => inner.GetBarLength(bar);

    public ulong ReadBar(int bar, ulong offset, int width) => inner.ReadBar(bar, offset, width);

    public void WriteBar(int bar, ulong offset, int width, ulong value) => inner.WriteBar(bar, offset, width, value);

    public void EnableMessages(int count, Action<int> signalled) => inner.EnableMessages(count, signalled);

    public void EnablePin(Action asserted) => inner.EnablePin(asserted);

    public void PinServed() => inner.PinServed();

    public void DisableInterrupts() => inner.DisableInterrupts();

    public IDmaBuffer MapBuffer(int length)
    {
        IDmaBuffer buffer = inner.MapBuffer(length);
        _buffers.Add(buffer);
        return buffer;
    }
}
