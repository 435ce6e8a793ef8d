namespace Vmm.Testing.Seams;

/// <summary>A memory slot of <see cref="RecordingMemorySlots"/>.</summary>
/// <param name="Address">Guest-physical address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Host">Host address of its first byte.</param>
/// <param name="ReadOnly">Guest writes exit.</param>
public readonly record struct MappedSlot(ulong Address, ulong Length, nint Host, bool ReadOnly)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Address:x}+{Length:x}{(ReadOnly ? " ro" : string.Empty)}";
}
