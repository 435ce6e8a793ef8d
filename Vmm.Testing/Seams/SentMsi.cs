using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>A message and who sent it.</summary>
/// <param name="Message">Address and data.</param>
/// <param name="RequesterId">Bus, device and function of the sender (bus &lt;&lt; 8 | devfn).</param>
public readonly record struct SentMsi(MsiMessage Message, uint RequesterId);
