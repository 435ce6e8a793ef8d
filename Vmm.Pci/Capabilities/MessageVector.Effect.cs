using System.Threading;

namespace Vmm.Pci.Capabilities;

/// <content>When the vector is effective, and what follows when that changes: pending events, and the routes of eventfds.</content>
public abstract partial class MessageVector
{
    /// <summary>
    /// Something outside the vector may have changed: enable, function mask, bus mastering, registers that it takes its message from.
    /// </summary>
    internal void RefreshFromFunction()
    {
        Acquire();
        try
        {
            if (UpdateFromFunction())
            {
                Arm();
            }

            SendPending();
        }
        finally
        {
            Release();
        }
    }

    /// <summary>As <see cref="RefreshFromFunction"/>, without arming and sending. The gate is held.</summary>
    /// <returns>True if the route, if any, is to be armed.</returns>
    internal bool UpdateFromFunction() => Update(messageChanged: Reload());

    /// <summary>Takes message and mask from where the mechanism keeps them, if not here. The gate is held.</summary>
    /// <returns>True if the message changed.</returns>
    private protected virtual bool Reload() => false;

    /// <summary>Follows a change of the vector's own registers. The gate is held.</summary>
    private protected void Refresh(bool messageChanged)
    {
        if (Update(messageChanged))
        {
            Arm();
        }

        SendPending();
    }

    /// <summary>Follows a change of the message alone, which never makes a vector effective or ends that. The gate is held.</summary>
    private protected void FollowMessage()
    {
        if (_effective)
        {
            // Also a route that was refused with the message before is tried again.
            Arm();
        }
    }

    /// <summary>The one place where a vector changes between effective and not (MSIX-7). The gate is held.</summary>
    /// <returns>True if the route, if any, is to be armed.</returns>
    private bool Update(bool messageChanged)
    {
        bool was = _effective;
        bool now = !_masked && _owner.IsEffective(Index);
        if (!_alwaysKeeps)
        {
            FollowKeeping();
        }

        Volatile.Write(ref _effective, now);
        if (now && !was)
        {
            // Events that came while masked are one pending message; those that come between here and arming stay in the eventfd, and
            // arming delivers them.
            Fold();
            return true;
        }

        if (was && !now)
        {
            _sources?.Disarm();
        }

        // A route that was refused with the message before is tried again.
        return now && messageChanged;
    }

    private void FollowKeeping()
    {
        bool keeps = _owner.KeepsEvents(Index);
        if (keeps && !_keeps)
        {
            // Takes what the eventfd collected meanwhile, and forgets it.
            Fold();
        }

        _keeps = keeps;
    }

    /// <summary>Sends the one message of the events that waited, if the vector is effective. The gate is held.</summary>
    internal void SendPending()
    {
        if (_effective && _pending)
        {
            _pending = false;
            Send();
        }
    }

    /// <summary>Arms the routes, if any. The gate is held.</summary>
    private void Arm() => _sources?.Arm(Message);

    /// <summary>Stores the message. The gate is held.</summary>
    /// <returns>True if it changed.</returns>
    private protected bool StoreMessage(ulong address, uint data)
    {
        bool changed = _address != address || _data != data;
        Volatile.Write(ref _address, address);
        Volatile.Write(ref _data, data);
        return changed;
    }

    /// <summary>Stores the mask bit. The gate is held.</summary>
    /// <returns>True if it changed.</returns>
    private protected bool StoreMask(bool masked)
    {
        bool changed = _masked != masked;
        Volatile.Write(ref _masked, masked);
        return changed;
    }

    private void Fold()
    {
        if (_sources is { } sources && sources.Collect(relayedToo: _owner.IsEnabled))
        {
            _pending |= _keeps;
        }
    }

    private void Forget()
    {
        _sources?.Collect(relayedToo: true);
        _pending = false;
    }
}
