namespace Vmm.DeviceModel.Registers;

/// <summary>Writes a whole register.</summary>
/// <typeparam name="TDevice">Whose register it is.</typeparam>
/// <param name="device">Whose register it is.</param>
/// <param name="value">The value; bits above the width are zero.</param>
public delegate void RegisterWrite<in TDevice>(TDevice device, ulong value);
