namespace Vmm.Machine.Control;

/// <summary>A device that was added to a machine.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Address">Its PCI address, <c>0000:01:00.0</c>; null while the machine does not run, and has given it none.</param>
public sealed record AddedDevice(string Id, string? Address);
