using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Tests.Fakes;

/// <summary>One route and the calls made on it, as text: <c>arm fee00000/41</c>, <c>disarm</c>, <c>dispose</c>.</summary>
public sealed class RecordingIrqRoute(RecordingIrqRouting routing, EventFd source) : IIrqRoute
{
    private readonly Lock _lock = new();
    private readonly List<string> _calls = [];
    private bool _spent;

    public EventFd Source => source;

    /// <summary>What it delivers now, or null while it is disarmed.</summary>
    public MsiMessage? Armed { get; private set; }

    public bool IsDisposed { get; private set; }

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

    /// <summary>It holds a GSI.</summary>
    public bool IsSpent => _spent;

    public void Arm(in MsiMessage message)
    {
        routing.CountChange();
        ArmWithOthers(message);
    }

    internal void ArmWithOthers(in MsiMessage message)
    {
        lock (_lock)
        {
            if (!_spent)
            {
                routing.TakeArm();
                _spent = true;
            }

            Armed = message;
            _calls.Add($"arm {message.Address:x}/{message.Data:x}");
        }
    }

    public void Disarm()
    {
        lock (_lock)
        {
            Armed = null;
            _calls.Add("disarm");
        }
    }

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
