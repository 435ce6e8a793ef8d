namespace Vmm.Tests.Nested;

/// <summary>A nested test that takes more time than every run of all tests can have: it runs when VMM_SOAK is set, else says so.</summary>
public sealed class LongNestedFactAttribute : FactAttribute
{
    public LongNestedFactAttribute() => Skip = WhyNot;

    /// <summary>Why such tests do not run, or null.</summary>
    public static string? WhyNot { get; } = LabSession.WhyNot
        ?? (Soak.On ? null : "takes minutes: VMM_SOAK=1 runs it");
}

/// <summary>Like <see cref="LongNestedFactAttribute"/>, with data.</summary>
public sealed class LongNestedTheoryAttribute : TheoryAttribute
{
    public LongNestedTheoryAttribute() => Skip = LongNestedFactAttribute.WhyNot;
}
