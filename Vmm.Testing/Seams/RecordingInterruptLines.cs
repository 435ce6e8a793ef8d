using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>Wires that remember their level and how often it changed, and which eventfds are connected to them. Thread-safe.</summary>
public sealed class RecordingInterruptLines : IResampledLines
{
    private readonly ConcurrentDictionary<int, RecordingInterruptLine> _lines = new();
    private readonly Lock _lock = new();
    private readonly List<(int Gsi, EventFd Source, EventFd Resample)> _connections = [];

    /// <summary>True refuses connections, as a hypervisor does that is out of room.</summary>
    public bool RefuseConnections { get; set; }

    /// <summary>The wire of a GSI, to look at.</summary>
    /// <param name="gsi">Any number.</param>
    public RecordingInterruptLine this[int gsi] => _lines.GetOrAdd(gsi, static _ => new RecordingInterruptLine());

    /// <summary>What is connected now.</summary>
    public IReadOnlyList<(int Gsi, EventFd Source, EventFd Resample)> Connections
    {
        get
        {
            lock (_lock)
            {
                return _connections.ToArray();
            }
        }
    }

    /// <inheritdoc/>
    public IInterruptLine GetLine(int gsi) => this[gsi];

    /// <inheritdoc/>
    public IDisposable Connect(int gsi, EventFd source, EventFd resample)
    {
        lock (_lock)
        {
            if (RefuseConnections)
            {
                throw new HostException("KVM_IRQFD", 16, "refused");
            }

            (int gsi, EventFd source, EventFd resample) connection = (gsi, source, resample);
            _connections.Add(connection);
            return new Connection(this, connection);
        }
    }

    private sealed class Connection(RecordingInterruptLines owner, (int Gsi, EventFd Source, EventFd Resample) connection) : IDisposable
    {
        public void Dispose()
        {
            lock (owner._lock)
            {
                owner._connections.Remove(connection);
            }
        }
    }
}
