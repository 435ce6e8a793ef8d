namespace Vmm.DeviceModel.Registers;

/// <summary>Writes a whole register of an array.</summary>
/// <typeparam name="TDevice">Whose register it is.</typeparam>
/// <param name="device">Whose register it is.</param>
/// <param name="index">Which one, from 0.</param>
/// <param name="value">The value; bits above the width are zero.</param>
public delegate void RegisterArrayWrite<in TDevice>(TDevice device, int index, ulong value);
