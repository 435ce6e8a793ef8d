using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>Remembers the messages that devices sent. Thread-safe.</summary>
public sealed class RecordingMsiSink : IMsiSink
{
    private readonly Lock _lock = new();
    private readonly List<SentMsi> _sent = [];
    private int _count;

    /// <summary>Whether somebody accepts the messages.</summary>
    public bool Accepts { get; set; } = true;

    /// <summary>Runs when a message arrives, on the sender's thread.</summary>
    public Action? Arrived { get; set; }

    /// <summary>False keeps only <see cref="Count"/>, for tests of allocation or of millions of messages.</summary>
    public bool Records { get; set; } = true;

    /// <summary>Messages so far, since <see cref="Clear"/>.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Messages in the order of their arrival.</summary>
    public IReadOnlyList<SentMsi> Sent
    {
        get
        {
            lock (_lock)
            {
                return _sent.ToArray();
            }
        }
    }

    /// <inheritdoc/>
    public bool Send(in MsiMessage message, uint requesterId)
    {
        Interlocked.Increment(ref _count);
        if (Records)
        {
            lock (_lock)
            {
                _sent.Add(new SentMsi(message, requesterId));
            }
        }

        Arrived?.Invoke();
        return Accepts;
    }

    /// <summary>Forgets the messages so far.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _sent.Clear();
            _count = 0;
        }
    }
}
