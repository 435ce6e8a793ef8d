namespace Vmm.Virtio.Transport;

/// <summary>What a driver's write of the device status means.</summary>
internal enum StatusChange
{
    /// <summary>The same bits again, or bits that are the device's or nobody's: nothing happens.</summary>
    None,

    /// <summary>Bits are cleared, or a step is skipped: ignored and counted.</summary>
    Illegal,

    /// <summary>Zero: reset from any state.</summary>
    Reset,

    /// <summary>ACKNOWLEDGE or DRIVER, or both, are added.</summary>
    Recognise,

    /// <summary>FEATURES_OK is added: the acknowledged features are checked.</summary>
    Negotiate,

    /// <summary>DRIVER_OK is added: the device starts.</summary>
    Activate,

    /// <summary>FAILED is added: the device stops until it is reset.</summary>
    Fail,
}
