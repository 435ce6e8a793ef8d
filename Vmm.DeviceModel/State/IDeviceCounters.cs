using System.Collections.Generic;

namespace Vmm.DeviceModel.State;

/// <summary>A device that counts what it does, for who watches a machine. Any device may; whoever carries one passes its counters on.</summary>
public interface IDeviceCounters
{
    /// <summary>
    /// The counters as they are now: the same names in the same order each time, with values that only grow as long as the device exists, resets
    /// included. From any thread at any time; nobody is stopped, so that one may be a little ahead of another.
    /// </summary>
    IReadOnlyList<DeviceCounter> Counters { get; }
}
