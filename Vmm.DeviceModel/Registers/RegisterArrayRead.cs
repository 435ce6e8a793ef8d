namespace Vmm.DeviceModel.Registers;

/// <summary>Reads a whole register of an array.</summary>
/// <typeparam name="TDevice">Whose register it is.</typeparam>
/// <param name="device">Whose register it is.</param>
/// <param name="index">Which one, from 0.</param>
/// <returns>The value; bits above the width are ignored.</returns>
public delegate ulong RegisterArrayRead<in TDevice>(TDevice device, int index);
