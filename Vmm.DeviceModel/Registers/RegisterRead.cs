namespace Vmm.DeviceModel.Registers;

/// <summary>Reads a whole register.</summary>
/// <typeparam name="TDevice">Whose register it is.</typeparam>
/// <param name="device">Whose register it is.</param>
/// <returns>The value; bits above the width are ignored.</returns>
public delegate ulong RegisterRead<in TDevice>(TDevice device);
