namespace Vmm.Tests.Fakes;

/// <summary>One access that reached a <see cref="RecordingHandler"/>.</summary>
public readonly record struct RecordedAccess(bool IsWrite, ulong Offset, int Width, ulong Value)
{
    /// <inheritdoc/>
    public override string ToString() => IsWrite ? $"w{Offset:x}+{Width}={Value:x}" : $"r{Offset:x}+{Width}";
}
