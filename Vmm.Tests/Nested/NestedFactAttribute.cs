namespace Vmm.Tests.Nested;

/// <summary>A test that boots Linux under <c>vmm</c> in the nested lab; skipped with the reason where that cannot run.</summary>
public sealed class NestedFactAttribute : FactAttribute
{
    public NestedFactAttribute() => Skip = LabSession.WhyNot;
}

/// <summary>Like <see cref="NestedFactAttribute"/>, with data.</summary>
public sealed class NestedTheoryAttribute : TheoryAttribute
{
    public NestedTheoryAttribute() => Skip = LabSession.WhyNot;
}
