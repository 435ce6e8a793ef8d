using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>Remembers the messages that devices sent. Thread-safe.</summary>
public sealed class RecordingMsiSink : IMsiSink
{
    /// <summary>How many can listen at once: an address names its receiver by 8 bits.</summary>
    public const int MaximumListeners = 256;

    private const ulong FirstAddress = 0xfee0_0000;
    private const int ReceiverShift = 12;

    private readonly Lock _lock = new();
    private readonly List<SentMsi> _sent = [];
    private volatile MessageListener?[] _listeners = new MessageListener?[MaximumListeners];
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

    /// <summary>Has messages to an address of its own told to somebody.</summary>
    /// <param name="arrived">Told the data of each, on the sender's thread; must not block or throw.</param>
    /// <returns>The address, until it is disposed.</returns>
    /// <exception cref="InvalidOperationException">All addresses are taken.</exception>
    public MessageListener Listen(Action<uint> arrived)
    {
        ArgumentNullException.ThrowIfNull(arrived);
        lock (_lock)
        {
            int receiver = Array.IndexOf(_listeners, null);
            if (receiver < 0)
            {
                throw new InvalidOperationException("all addresses for messages are taken");
            }

            var listener = new MessageListener(this, FirstAddress + ((ulong)receiver << ReceiverShift), arrived);
            Replace(receiver, listener);
            return listener;
        }
    }

    /// <inheritdoc/>
    public bool Send(in MsiMessage message, uint requesterId)
    {
        if (Records)
        {
            lock (_lock)
            {
                _sent.Add(new SentMsi(message, requesterId));
            }
        }

        // Whoever waits for the count finds the message.
        Interlocked.Increment(ref _count);
        Arrived?.Invoke();
        ulong receiver = (message.Address - FirstAddress) >> ReceiverShift;
        if (receiver < MaximumListeners && _listeners[receiver] is { } listener && listener.Address == message.Address)
        {
            listener.Tell(message);
        }

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

    internal void Remove(MessageListener listener)
    {
        lock (_lock)
        {
            int receiver = Array.IndexOf(_listeners, listener);
            if (receiver >= 0)
            {
                Replace(receiver, null);
            }
        }
    }

    private void Replace(int receiver, MessageListener? listener)
    {
        var listeners = (MessageListener?[])_listeners.Clone();
        listeners[receiver] = listener;
        _listeners = listeners;
    }
}
