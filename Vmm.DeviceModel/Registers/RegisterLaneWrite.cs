namespace Vmm.DeviceModel.Registers;

/// <summary>Writes some bytes of a register.</summary>
/// <typeparam name="TDevice">Whose register it is.</typeparam>
/// <param name="device">Whose register it is.</param>
/// <param name="value">The value; bits outside <paramref name="mask"/> are zero.</param>
/// <param name="mask">Ones in every bit of the bytes that the guest wrote (0xFF00 for the second byte).</param>
public delegate void RegisterLaneWrite<in TDevice>(TDevice device, ulong value, ulong mask);
