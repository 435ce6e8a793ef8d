using System;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>An address of a <see cref="RecordingMsiSink"/> with somebody behind it. Disposing frees the address.</summary>
public sealed class MessageListener : IDisposable
{
    private readonly RecordingMsiSink _sink;
    private readonly Action<uint> _arrived;

    internal MessageListener(RecordingMsiSink sink, ulong address, Action<uint> arrived)
    {
        (_sink, Address, _arrived) = (sink, address, arrived);
    }

    /// <summary>The address that messages to the listener have.</summary>
    public ulong Address { get; }

    /// <inheritdoc/>
    public void Dispose() => _sink.Remove(this);

    internal void Tell(in MsiMessage message) => _arrived(message.Data);
}
