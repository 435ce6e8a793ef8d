namespace Vmm.Tests.Nested;

/// <summary>A nested test with disks of the device mapper; skipped with the reason where that cannot run.</summary>
public sealed class MappedDiskFactAttribute : FactAttribute
{
    public MappedDiskFactAttribute() => Skip = DeviceMapper.WhyNot;
}

/// <summary>Like <see cref="MappedDiskFactAttribute"/>, with data.</summary>
public sealed class MappedDiskTheoryAttribute : TheoryAttribute
{
    public MappedDiskTheoryAttribute() => Skip = DeviceMapper.WhyNot;
}
