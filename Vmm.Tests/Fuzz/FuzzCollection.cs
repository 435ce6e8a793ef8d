namespace Vmm.Tests.Fuzz;

/// <summary>The random driver sees every exception of the process and counts its descriptors: nothing runs beside it.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class FuzzCollection
{
    public const string Name = "Fuzz";
}
