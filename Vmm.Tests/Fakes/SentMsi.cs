using Vmm.DeviceModel.Interrupts;

namespace Vmm.Tests.Fakes;

/// <summary>A message and who sent it.</summary>
public readonly record struct SentMsi(MsiMessage Message, uint RequesterId);
