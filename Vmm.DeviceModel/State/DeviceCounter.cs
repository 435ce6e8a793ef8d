namespace Vmm.DeviceModel.State;

/// <summary>A counter of a device at one moment.</summary>
/// <param name="Name">In snake_case, with its unit where that is not the thing itself: <c>read_bytes</c>.</param>
/// <param name="Value">How many since the device was made, at least 0.</param>
public readonly record struct DeviceCounter(string Name, long Value);
