namespace Vmm.Testing.Seams;

/// <summary>One access that reached a <see cref="RecordingHandler"/>.</summary>
/// <param name="IsWrite">A write; else a read.</param>
/// <param name="Offset">Byte inside the region.</param>
/// <param name="Width">Bytes.</param>
/// <param name="Value">The value of a write, as it came; 0 for a read.</param>
public readonly record struct RecordedAccess(bool IsWrite, ulong Offset, int Width, ulong Value)
{
    /// <inheritdoc/>
    public override string ToString() => IsWrite ? $"w{Offset:x}+{Width}={Value:x}" : $"r{Offset:x}+{Width}";
}
