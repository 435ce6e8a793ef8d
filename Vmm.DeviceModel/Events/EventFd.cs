using System;

namespace Vmm.DeviceModel.Events;

/// <summary>A Linux eventfd: a counter that the kernel, another process or we add to and that a worker waits on.</summary>
public sealed class EventFd : IDisposable
{
    /// <summary>Makes a non-blocking, close-on-exec eventfd with the counter at 0.</summary>
    public EventFd() => throw new NotImplementedException();

    /// <summary>The descriptor number, valid until disposal.</summary>
    public int Descriptor => throw new NotImplementedException();

    /// <summary>Adds 1. Allocates nothing; a full counter is as good as signalled.</summary>
    public void Signal() => throw new NotImplementedException();

    /// <summary>Takes the counter to 0.</summary>
    /// <param name="count">What it was.</param>
    /// <returns>False if it was 0 already.</returns>
    public bool TryConsume(out ulong count) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Dispose() => throw new NotImplementedException();
}
