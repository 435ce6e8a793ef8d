namespace Vmm.DeviceModel.Registers;

/// <summary>Writes some bytes of a register of an array.</summary>
/// <typeparam name="TDevice">Whose register it is.</typeparam>
/// <param name="device">Whose register it is.</param>
/// <param name="index">Which one, from 0.</param>
/// <param name="value">The value; bits outside <paramref name="mask"/> are zero.</param>
/// <param name="mask">Ones in every bit of the bytes that the guest wrote (0xFF00 for the second byte).</param>
public delegate void RegisterArrayLaneWrite<in TDevice>(TDevice device, int index, ulong value, ulong mask);
