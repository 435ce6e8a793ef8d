using System.Threading;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The feature registers and what they come to: offered, acknowledged, and from FEATURES_OK on in force (virtio 1.2, 2.2 and 3.1.1).</summary>
/// <remarks>vCPU threads read and write the registers without a lock; the lock makes a set and FEATURES_OK one, and is innermost.</remarks>
/// <param name="status">FEATURES_OK is its bit.</param>
/// <param name="offered">Features that a driver may acknowledge.</param>
/// <param name="required">Features without which FEATURES_OK is refused.</param>
internal sealed class FeatureNegotiation(StatusRegister status, ulong offered, ulong required)
{
    private readonly Lock _lock = new();

    // device_feature_select above device_feature: both change in one.
    private ulong _deviceBank = (uint)offered;
    private uint _acknowledgedLow;
    private uint _acknowledgedHigh;
    private ulong _negotiated;

    /// <summary>device_feature_select.</summary>
    public uint DeviceSelect
    {
        get => (uint)(_deviceBank >> 32);
        set => _deviceBank = ((ulong)value << 32) | Bank(offered, value);
    }

    /// <summary>driver_feature_select.</summary>
    public uint DriverSelect { get; set; }

    /// <summary>Features that a driver may acknowledge.</summary>
    public ulong Offered => offered;

    /// <summary>Features in force; 0 before FEATURES_OK.</summary>
    public ulong Negotiated => status.Has(DeviceStatus.FeaturesOk) ? Volatile.Read(ref _negotiated) : 0;

    /// <summary>Features that the driver has written, or those in force once they are fixed.</summary>
    public ulong Acknowledged => status.Has(DeviceStatus.FeaturesOk)
        ? Volatile.Read(ref _negotiated)
        : Written;

    /// <summary>driver_feature as the driver wrote it: 64 bits, both banks.</summary>
    public ulong Written => _acknowledgedLow | ((ulong)_acknowledgedHigh << 32);

    /// <summary>Takes over registers that were checked; the status follows.</summary>
    public void Restore(uint deviceSelect, uint driverSelect, ulong written, ulong negotiated)
    {
        DeviceSelect = deviceSelect;
        DriverSelect = driverSelect;
        _acknowledgedLow = (uint)written;
        _acknowledgedHigh = (uint)(written >> 32);
        Volatile.Write(ref _negotiated, negotiated);
    }

    /// <summary>device_feature.</summary>
    public uint ReadDeviceBank() => (uint)_deviceBank;

    /// <summary>driver_feature.</summary>
    public uint ReadDriverBank() => Bank(Acknowledged & offered, DriverSelect);

    /// <summary>Writes driver_feature; banks above the second have no bits.</summary>
    /// <returns>False if the features are fixed.</returns>
    public bool TryWriteDriverBank(uint value)
    {
        if (status.Has(DeviceStatus.FeaturesOk))
        {
            return false;
        }

        if (DriverSelect == 0)
        {
            _acknowledgedLow = value;
        }
        else if (DriverSelect == 1)
        {
            _acknowledgedHigh = value;
        }

        return true;
    }

    /// <summary>Whether the transport can work with a set; the device type has its own word.</summary>
    public bool Accepts(ulong acknowledged) => (acknowledged & ~offered) == 0 && (acknowledged & required) == required;

    /// <summary>Makes a set of features the one in force, together with FEATURES_OK.</summary>
    /// <remarks>
    /// The only place that stores the set. FEATURES_OK is set under the same lock and nowhere else, so that nobody stores while it is set, and who
    /// sees it sees the set that came with it.
    /// </remarks>
    /// <returns>False if the status is another one by now.</returns>
    public bool TryFreeze(ulong acknowledged, DeviceStatus current, DeviceStatus next)
    {
        lock (_lock)
        {
            if (status.Value != current)
            {
                return false;
            }

            Volatile.Write(ref _negotiated, acknowledged);
            return status.TryStep(current, next);
        }
    }

    /// <summary>Gives every register its power-on value.</summary>
    public void PowerOn()
    {
        DeviceSelect = 0;
        DriverSelect = 0;
        _acknowledgedLow = 0;
        _acknowledgedHigh = 0;
    }

    /// <summary>32 of the feature bits; no bank above the second has any, whatever the selector.</summary>
    private static uint Bank(ulong features, uint select) => select < 2 ? (uint)(features >> (int)(select * 32)) : 0;
}
