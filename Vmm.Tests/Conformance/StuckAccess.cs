using System;
using System.Threading;
using Vmm.Pci.Access;

namespace Vmm.Tests.Conformance;

/// <summary>A way to a function on which accesses stop answering, until it is disposed.</summary>
internal sealed class StuckAccess(IPciFunctionAccess inner) : IPciFunctionAccess, IDisposable
{
    private readonly ManualResetEventSlim _freed = new();

    public bool IsStuck { get; set; }

    public int MessageVectors => Inner.MessageVectors;

    public bool HasPin => Inner.HasPin;

    private IPciFunctionAccess Inner
    {
        get
        {
            if (IsStuck)
            {
                _freed.Wait();
            }

            return inner;
        }
    }

    public uint ReadConfiguration(int offset, int width) => Inner.ReadConfiguration(offset, width);

    public void WriteConfiguration(int offset, int width, uint value) => Inner.WriteConfiguration(offset, width, value);

    public ulong GetBarLength(int bar) => Inner.GetBarLength(bar);

    public ulong ReadBar(int bar, ulong offset, int width) => Inner.ReadBar(bar, offset, width);

    public void WriteBar(int bar, ulong offset, int width, ulong value) => Inner.WriteBar(bar, offset, width, value);

    public void EnableMessages(int count, Action<int> signalled) => Inner.EnableMessages(count, signalled);

    public void EnablePin(Action asserted) => Inner.EnablePin(asserted);

    public void DisableInterrupts() => Inner.DisableInterrupts();

    public IDmaBuffer MapBuffer(int length) => Inner.MapBuffer(length);

    // The event is not disposed: threads that were stuck may be on their way out of it.
    public void Dispose() => _freed.Set();
}
