using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>One route and the calls made on it, as text: <c>arm fee00000/41</c>, <c>disarm</c>, <c>dispose</c>. Thread-safe.</summary>
public sealed class RecordingIrqRoute : IIrqRoute
{
    private readonly RecordingIrqRouting _routing;
    private readonly Lock _lock = new();
    private readonly List<string> _calls = [];
    private bool _spent;

    internal RecordingIrqRoute(RecordingIrqRouting routing, EventFd source)
    {
        _routing = routing;
        Source = source;
    }

    /// <summary>The eventfd that the route was made for.</summary>
    public EventFd Source { get; }

    /// <summary>What it delivers now, or null while it is disarmed.</summary>
    public MsiMessage? Armed { get; private set; }

    /// <summary>Nothing is delivered any more.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Calls in order.</summary>
    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_lock)
            {
                return _calls.ToArray();
            }
        }
    }

    /// <summary>It was armed once and holds a GSI.</summary>
    public bool IsSpent => _spent;

    /// <inheritdoc/>
    public void Arm(in MsiMessage message)
    {
        _routing.CountChange();
        ArmWithOthers(message);
    }

    internal void ArmWithOthers(in MsiMessage message)
    {
        lock (_lock)
        {
            if (!_spent)
            {
                _routing.TakeArm();
                _spent = true;
            }

            Armed = message;
            _calls.Add($"arm {message.Address:x}/{message.Data:x}");
        }
    }

    /// <inheritdoc/>
    public void Disarm()
    {
        lock (_lock)
        {
            Armed = null;
            _calls.Add("disarm");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (!IsDisposed)
            {
                IsDisposed = true;
                Armed = null;
                _calls.Add("dispose");
            }
        }
    }
}
