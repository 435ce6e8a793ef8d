using System;
using System.Threading;
using Vmm.DeviceModel.Bus;

namespace Vmm.Testing.Seams;

/// <summary>A region whose accesses do not return until the test lets them; for any number of threads.</summary>
public sealed class BlockedHandler : IRegionHandler, IDisposable
{
    /// <summary>The answer to reads of 4 bytes.</summary>
    public const ulong Value = 0x600d_cafe;

    private volatile bool _returned;

    /// <summary>Set once an access is in the handler.</summary>
    public ManualResetEventSlim Entered { get; } = new();

    /// <summary>Set by the test to let accesses return.</summary>
    public ManualResetEventSlim Go { get; } = new();

    /// <summary>True once an access is about to return.</summary>
    public bool Returned => _returned;

    /// <inheritdoc/>
    public ulong Read(ulong offset, int width)
    {
        Block();
        return Value;
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value) => Block();

    /// <inheritdoc/>
    public void Dispose()
    {
        // A test that failed lets its threads go all the same.
        Go.Set();
        GC.KeepAlive(this);
    }

    private void Block()
    {
        Entered.Set();
        Go.Wait();
        _returned = true;
    }
}
