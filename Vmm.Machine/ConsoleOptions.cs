namespace Vmm.Machine;

/// <summary>The virtio console.</summary>
/// <param name="Character">What it is connected to; the device is absent with <see cref="CharacterKind.Off"/>.</param>
public sealed record ConsoleOptions(CharacterOptions Character) : VirtioOptions;
