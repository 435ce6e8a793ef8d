using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Pci.Capabilities;

/// <summary>One message-signalled interrupt with its mask and pending bit: what a device signals (PCI 3.0, 6.8).</summary>
/// <remarks>
/// <para>
/// A vector is <em>effective</em> while its mechanism (MSI-X, or MSI) is enabled, the function may master the bus, and nothing masks the vector.
/// A signal of an effective vector is sent at once. Any other sets the pending bit, which becomes one message when the vector turns effective
/// (MSIX-4, PCI-11), unless its mechanism keeps no events now: while MSI is off nothing is latched (PCI 3.0, 6.8.1), and neither is what an
/// eventfd collects then. Everything that can change that goes through <see cref="Update"/>, which compares old and new (MSIX-7).
/// </para>
/// <para>
/// Protocol: each vector has a gate, a spin lock of one word that is held for a few instructions and one call of the sink. Holding it while the
/// message goes out is deliberate: when a guest's write of the mask bit (or of another address) returns, no message of the old state can
/// follow it, as PCI ordering gives a driver that reads the mask back; sending after leaving the gate would let a thread that was
/// descheduled in between deliver to a vector that the guest has recycled. Uncontended cost: one compare-and-swap and one store.
/// A change of the whole function takes the gates of all vectors with an eventfd, in order of index, and arms them together
/// (<see cref="RouteBatch"/>).
/// Lock order: the creation lock of <see cref="MessageCapability"/>, then gates by index, then whatever the hypervisor's sink and routes take. A sink
/// must not touch the vectors of the function that is sending.
/// </para>
/// <para>
/// With an eventfd (<see cref="GetEventFd"/>) the hypervisor delivers while the vector is effective; otherwise the route is disarmed, the
/// eventfd keeps the events, and they are folded into the pending bit when it is read and when the vector turns effective (MSIX-5). Several
/// <see cref="MessageSource"/>s may be mapped to the vector besides.
/// </para>
/// </remarks>
public abstract partial class MessageVector : IInterruptVector
{
    private readonly MessageCapability _owner;
    private readonly bool _alwaysKeeps;
    private int _held;
    private bool _effective;
    private bool _pending;
    private bool _masked;
    private bool _keeps;
    private ulong _address;
    private uint _data;
    private MessageSource? _own;
    private MessageSources? _sources;
    private long _sent;
    private long _unaccepted;

    private protected MessageVector(MessageCapability owner, int index, bool masked, bool keeps)
    {
        _owner = owner;
        Index = index;
        _masked = masked;
        _alwaysKeeps = keeps;
        _keeps = keeps;
    }

    /// <summary>Index among the capability's vectors.</summary>
    public int Index { get; }

    /// <summary>True while a signal would be sent at once.</summary>
    public bool IsEffective => Volatile.Read(ref _effective);

    /// <summary>The vector's own mask bit.</summary>
    public bool IsMasked => Volatile.Read(ref _masked);

    /// <summary>What the guest programmed.</summary>
    public MsiMessage Message => new(Volatile.Read(ref _address), Volatile.Read(ref _data));

    /// <summary>How many messages were sent by us; those that an armed eventfd delivered are the hypervisor's.</summary>
    public long Sent => Volatile.Read(ref _sent);

    /// <summary>How many of them nobody accepted.</summary>
    public long Unaccepted => Volatile.Read(ref _unaccepted);

    /// <summary>The pending bit, with what an eventfd collected while the vector was not effective (MSIX-5).</summary>
    public bool IsPending
    {
        get
        {
            if (Sources is not null)
            {
                Acquire();
                if (!_effective)
                {
                    Fold();
                }

                Release();
            }

            return Volatile.Read(ref _pending);
        }
    }

    /// <inheritdoc/>
    public void Signal()
    {
        Acquire();
        try
        {
            if (_effective)
            {
                Send();
            }
            else if (_alwaysKeeps || _owner.KeepsEvents(Index))
            {
                _pending = true;
            }
        }
        finally
        {
            Release();
        }
    }

    /// <summary>
    /// Signals if the mechanism is enabled: sends the message, or sets the pending bit of a vector that is masked. For a device that has
    /// another way to tell an event, so that one that the guest's change of mechanism overtakes is neither lost nor told twice.
    /// </summary>
    /// <returns>False, with nothing done, if the mechanism is disabled.</returns>
    public bool TrySignal()
    {
        Acquire();
        try
        {
            return TryTell();
        }
        finally
        {
            Release();
        }
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">
    /// The function's bus has no interrupt routing, so nobody could deliver the eventfd's signals.
    /// </exception>
    public EventFd GetEventFd() => _owner.GetOrCreateEventFd(this);

    /// <summary>The eventfd of <see cref="GetEventFd"/>, if it was made.</summary>
    internal EventFd? EventFdOrNull => Volatile.Read(ref _own)?.EventFd;

    /// <summary>The eventfds that signal the vector; null as long as there was none.</summary>
    internal MessageSources? Sources => Volatile.Read(ref _sources);

    /// <summary>The capability that the vector belongs to.</summary>
    internal MessageCapability Owner => _owner;

    /// <summary>Power-on values; the function is disabled already.</summary>
    internal void Reset()
    {
        Acquire();
        try
        {
            ResetRegisters();
            Refresh(messageChanged: true);
            Forget();
        }
        finally
        {
            Release();
        }
    }

    /// <summary>Takes a saved entry over. The mechanism is disabled now: what follows from the entry does so when it is enabled.</summary>
    internal void Restore(ulong address, uint data, bool masked, bool pending)
    {
        Acquire();
        try
        {
            StoreMessage(address, data);
            StoreMask(masked);
            _pending = pending;
        }
        finally
        {
            Release();
        }
    }

    /// <summary>Forgets an event that was not delivered; the entry stays as the guest programmed it.</summary>
    internal void ClearPending()
    {
        // A signal that comes while this looks is one that comes after.
        if (!Volatile.Read(ref _pending) && Sources is null)
        {
            return;
        }

        Acquire();
        try
        {
            Forget();
        }
        finally
        {
            Release();
        }
    }

    /// <summary>Takes the vector's own eventfd and its route into use. Called under the owner's creation lock; the gate is held.</summary>
    /// <returns>True if the route is to be armed.</returns>
    internal bool Adopt(MessageSource own)
    {
        GetOrCreateSources().Add(own);
        Volatile.Write(ref _own, own);
        return _effective;
    }

    /// <summary>Gives the vector's own eventfd back, which delivers nothing any more. The gate is held.</summary>
    internal MessageSource? AbandonOwn()
    {
        MessageSource? own = _own;
        Volatile.Write(ref _own, null);
        return own;
    }

    /// <summary>The keeper of the eventfds of the vector. Called under the owner's creation lock.</summary>
    internal MessageSources GetOrCreateSources()
    {
        if (_sources is null)
        {
            Volatile.Write(ref _sources, new MessageSources(_owner, this));
        }

        return _sources!;
    }

    /// <summary>Takes what a source has collected: sends it, or keeps it in the pending bit.</summary>
    /// <returns>False if there was something and the mechanism is disabled: the event is the caller's.</returns>
    internal bool TryRelay(MessageSource source)
    {
        Acquire();
        try
        {
            return source.IsArmed || !source.EventFd.TryConsume(out _) || TryTell();
        }
        finally
        {
            Release();
        }
    }

    /// <summary>Message and mask take their power-on values. The gate is held.</summary>
    private protected abstract void ResetRegisters();

    internal void Acquire()
    {
        if (Interlocked.CompareExchange(ref _held, 1, 0) != 0)
        {
            AcquireContended();
        }
    }

    internal void Release() => Volatile.Write(ref _held, 0);

    private bool TryTell()
    {
        if (_effective)
        {
            Send();
            return true;
        }

        bool enabled = _owner.IsEnabled;
        _pending |= enabled && _owner.KeepsEvents(Index);
        return enabled;
    }

    private void Send()
    {
        _sent++;
        if (!_owner.Sink.Send(new MsiMessage(_address, _data), _owner.RequesterId))
        {
            _unaccepted++;
        }
    }

    private void AcquireContended()
    {
        var spin = default(SpinWait);
        do
        {
            spin.SpinOnce(sleep1Threshold: -1);
        }
        while (Volatile.Read(ref _held) != 0 || Interlocked.CompareExchange(ref _held, 1, 0) != 0);
    }
}
