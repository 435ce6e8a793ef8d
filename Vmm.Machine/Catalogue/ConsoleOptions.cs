namespace Vmm.Machine.Catalogue;

/// <summary>The virtio console.</summary>
/// <param name="Character">The other end; <see cref="CharacterKind.Off"/> is refused, a machine without a console has none in its list.</param>
public sealed record ConsoleOptions(CharacterOptions Character) : VirtioOptions;
