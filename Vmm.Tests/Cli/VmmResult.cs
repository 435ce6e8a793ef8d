namespace Vmm.Tests.Cli;

/// <summary>How a run of the command ended.</summary>
internal sealed record VmmResult(int Status, string Output, string Error)
{
    /// <summary>It failed with one line on stderr that names what it is about, and nothing on stdout.</summary>
    public void ShouldHaveFailed(int status, params string[] words)
    {
        Status.Should().Be(status, "{0}", Error);
        Output.Should().BeEmpty();
        Error.Should().EndWith("\n").And.StartWith("vmm: ");
        Error.TrimEnd('\n').Should().NotContain("\n").And.ContainAll(words);
    }
}
