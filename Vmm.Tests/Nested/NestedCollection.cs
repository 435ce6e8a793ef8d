namespace Vmm.Tests.Nested;

/// <summary>Keeps nested tests one after the other: each lab run wants the whole machine.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class NestedCollection
{
    public const string Name = "Nested";
}
