using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.Pci;

/// <summary>Faults of a function: counted, and logged at a limited rate, since a guest can have it happen as often as it likes.</summary>
internal sealed class FunctionReports(PciFunction function)
{
    private readonly TokenBucket _refusals = new(burst: 3);
    private readonly TokenBucket _faultTokens = new(burst: 3);
    private long _faults;

    /// <summary>Takes the messages; that of the bus while the function is on one.</summary>
    public ILogger Logger { get; set; } = NullLogger.Instance;

    /// <summary>How often code of the device threw.</summary>
    public long Faults => Volatile.Read(ref _faults);

    /// <summary>Code of the device threw at, or behind, a register.</summary>
    public void Fault(Exception reason, int offset)
    {
        Interlocked.Increment(ref _faults);
        if (_faultTokens.TryTake(out long suppressed))
        {
            Log.Faulted(Logger, reason, function.Name, function.Address, offset, suppressed);
        }
    }

    /// <summary>The hypervisor refused to map a BAR.</summary>
    public void MappingRefused(int bar, ulong address, HostException reason)
    {
        if (_refusals.TryTake(out long suppressed))
        {
            Log.MappingFailed(Logger, reason, function.Name, function.Address, bar, address, suppressed);
        }
    }

    /// <summary>The hypervisor refused to deliver an eventfd.</summary>
    public void RouteRefused(int vector, HostException reason)
    {
        if (_refusals.TryTake(out long suppressed))
        {
            Log.RouteRefused(Logger, reason, function.Name, function.Address, vector, suppressed);
        }
    }
}
