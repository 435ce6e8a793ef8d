using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;

namespace Vmm.Virtio.Devices;

/// <summary>Which receive queues get packets: those that the driver runs, of the pairs that it uses (virtio 1.2, 5.1.6.5.6).</summary>
/// <remarks>
/// The transport's thread starts and stops queues, the control queue's worker changes the number of pairs in use. The lock orders the two, and
/// a handler that ends is waited for under it: that is safe because no receive handler takes it, and because the pair whose worker serves the
/// control queue as well is always in use, so that no worker waits for itself.
/// </remarks>
internal sealed class NetSteering
{
    private readonly Lock _lock = new();
    private readonly IReadOnlyList<INetBackend> _backends;
    private readonly (QueueHandler Handler, Worker Worker)?[] _running;
    private int _inUse = 1;

    /// <param name="backends">One a pair.</param>
    public NetSteering(IReadOnlyList<INetBackend> backends)
    {
        _backends = backends;
        _running = new (QueueHandler, Worker)?[backends.Count];
    }

    /// <summary>Pairs that the driver uses, from the first on.</summary>
    public int PairsInUse => Volatile.Read(ref _inUse);

    /// <summary>A receive queue runs: it gets packets now if its pair is in use, else when it will be.</summary>
    /// <exception cref="InvalidOperationException">The back-end refuses.</exception>
    public void Start(int pair, QueueHandler handler, Worker worker)
    {
        lock (_lock)
        {
            _running[pair] = (handler, worker);
            if (pair < _inUse && !TryBegin(pair))
            {
                throw new InvalidOperationException($"the back-end of pair {pair} refuses to receive");
            }
        }
    }

    /// <summary>A receive queue stops; packets go to the others.</summary>
    public void Stop(int pair)
    {
        lock (_lock)
        {
            End(pair);
            _running[pair] = null;
        }
    }

    /// <summary>Uses the first so many pairs. When this returns no packet gets into the others' queues any more.</summary>
    /// <returns>False, with nothing changed, if a back-end refuses.</returns>
    public bool TryUse(int pairs)
    {
        lock (_lock)
        {
            for (int pair = _inUse; pair < pairs; pair++)
            {
                if (!TryBegin(pair))
                {
                    EndAll(_inUse, pair);
                    return false;
                }
            }

            EndAll(pairs, _inUse);
            Volatile.Write(ref _inUse, pairs);
            return true;
        }
    }

    private bool TryBegin(int pair)
    {
        if (_running[pair] is var (handler, worker))
        {
            if (_backends.Count > 1 && !_backends[pair].SetReceiving(true))
            {
                return false;
            }

            handler.Start(worker);
        }

        return true;
    }

    private void EndAll(int from, int to)
    {
        for (int pair = from; pair < to; pair++)
        {
            End(pair);
        }
    }

    private void End(int pair)
    {
        if (_running[pair] is var (handler, _))
        {
            if (_backends.Count > 1)
            {
                _backends[pair].SetReceiving(false);
            }

            handler.Stop();
        }
    }
}
