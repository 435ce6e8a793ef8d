using System;
using System.Linq;

namespace Vmm.Tests.Nested;

/// <summary>What a guest run left.</summary>
/// <param name="Status">Exit status of vmm.</param>
/// <param name="Console">The guest's serial console.</param>
/// <param name="Errors">What vmm wrote to stderr.</param>
/// <param name="Notes">Output of the case's own scripts.</param>
public sealed record LabResult(int Status, string Console, string Errors, string Notes)
{
    /// <summary>The last value that the guest printed as <c>KEY value</c>, or an empty string.</summary>
    public string Fact(string key) => Find(Console, key);

    /// <summary>The last value that the case's scripts printed as <c>KEY value</c>, or an empty string.</summary>
    public string Note(string key) => Find(Notes, key);

    /// <summary>Asserts that the guest's script ended well and vmm with it.</summary>
    public void ShouldHavePassed()
    {
        string end = $"the console ends with:\n{Tail(Console)}\nvmm said:\n{Tail(Errors)}\nnotes:\n{Tail(Notes)}";
        Fact("GUEST-EXIT").Should().Be("0", "{0}", end);
        Status.Should().Be(0, "{0}", end);
    }

    private static string Find(string text, string key)
    {
        return text.Split('\n').Select(line => line.TrimEnd('\r'))
            .LastOrDefault(line => line.StartsWith(key + " ", StringComparison.Ordinal))?[(key.Length + 1)..].Trim() ?? "";
    }

    private static string Tail(string text) => text.Length <= 3000 ? text : text[^3000..];
}
