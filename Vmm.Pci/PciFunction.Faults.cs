using System;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.Pci;

/// <content>Exceptions of the device's code: they end here and are the function's own affair (BUS-8).</content>
public partial class PciFunction
{
    private readonly TokenBucket _faultReports = new(burst: 3);
    private long _faults;

    /// <summary>
    /// How often a hook of the device, a capability or, reached by configuration space, a BAR region threw (BUS-8). Such a read gives all-ones;
    /// after such a write everything else that follows from it is done. No other function notices. A region that throws in a memory or port
    /// access is counted by <see cref="Vmm.DeviceModel.Bus.AddressSpace.HandlerFaults"/> alone.
    /// </summary>
    public long Faults => Volatile.Read(ref _faults);

    /// <summary>A configuration read as the host bridge passes it on: an exception of the function ends here.</summary>
    internal uint ReadFromBus(int offset, int width)
    {
        try
        {
            return ReadConfiguration(offset, width);
        }
        catch (Exception e)
        {
            Fault(e, offset);
            return (uint)AccessWidth.Mask(width);
        }
    }

    /// <summary>A configuration write as the host bridge passes it on: an exception of the function ends here.</summary>
    internal void WriteFromBus(int offset, int width, uint value)
    {
        try
        {
            WriteConfiguration(offset, width, value);
        }
        catch (Exception e)
        {
            Fault(e, offset);
        }
    }

    /// <summary>Calls a hook of the device. Its exception ends here, so that what follows for the function itself is done all the same.</summary>
    private void CallHook(Action<PciFunction> hook, int offset)
    {
        try
        {
            hook(this);
        }
        catch (Exception e)
        {
            Fault(e, offset);
        }
    }

    /// <summary>
    /// Counts and logs a fault of a hook, a capability or a region. Callers on a path that is often taken catch for themselves: a method that
    /// catches is not inlined. What they let out would take the configuration space of all functions, or the BAR, out of service.
    /// </summary>
    internal void Fault(Exception reason, int offset)
    {
        Interlocked.Increment(ref _faults);
        if (_faultReports.TryTake(out long suppressed))
        {
            Log.Faulted(_logger, reason, Name, Address, offset, suppressed);
        }
    }
}
