namespace Vmm.Tests.Fakes;

/// <summary>A memory slot of <see cref="RecordingMemorySlots"/>.</summary>
public readonly record struct MappedSlot(ulong Address, ulong Length, nint Host, bool ReadOnly)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Address:x}+{Length:x}{(ReadOnly ? " ro" : string.Empty)}";
}
