using System;

namespace Vmm.Tests.Conformance;

/// <summary>What makes one check fail.</summary>
/// <param name="Check">Id of the check.</param>
/// <param name="Model">Words of the function that it is put on, see <see cref="CheckedFunction"/>.</param>
/// <param name="Break">Puts the defect in.</param>
internal sealed record Defect(string Check, string Model, Action<DefectiveAccess> Break)
{
    public override string ToString() => Check;
}
