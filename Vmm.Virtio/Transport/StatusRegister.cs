using System.Threading;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>device_status: bits are added by compare-and-swap, so that of several writers that race each step is made by one.</summary>
internal sealed class StatusRegister
{
    private int _value;

    /// <summary>The register.</summary>
    public DeviceStatus Value => (DeviceStatus)Volatile.Read(ref _value);

    /// <summary>Whether a bit is set.</summary>
    public bool Has(DeviceStatus bit) => (Value & bit) != 0;

    /// <summary>Makes a step.</summary>
    /// <returns>False, with nothing done, if the register is another one by now.</returns>
    public bool TryStep(DeviceStatus current, DeviceStatus next)
    {
        return Interlocked.CompareExchange(ref _value, (int)next, (int)current) == (int)current;
    }

    /// <summary>Sets DEVICE_NEEDS_RESET.</summary>
    /// <returns>False if it was set.</returns>
    public bool TrySetNeedsReset() => (Interlocked.Or(ref _value, (int)DeviceStatus.NeedsReset) & (int)DeviceStatus.NeedsReset) == 0;

    /// <summary>Takes a saved register over: everything that was stored before is seen by who sees this.</summary>
    public void Restore(DeviceStatus value) => Volatile.Write(ref _value, (int)value);

    /// <summary>The reset is complete: everything that was stored before is seen by who sees this.</summary>
    public void Clear() => Volatile.Write(ref _value, 0);
}
