using System.IO;

namespace Vmm.Tests.Cli;

/// <summary>A standard output that takes nothing is a failure of the host, in one line; one that nobody reads is no failure.</summary>
public sealed class StandardOutputTests
{
    [Theory]
    [InlineData("devices")]
    [InlineData("devices", "--config-space")]
    [InlineData("devices", "--help")]
    [InlineData("--help")]
    [InlineData("conformance", "--list")]
    [InlineData("conformance", "--model", "rng", "--only", "VTP-ID-VENDOR")]
    public void One_that_is_full_or_closed_is_named(params string[] arguments)
    {
        Run("exec \"$@\" >/dev/full", arguments).Should().Be(new VmmResult(1, "", "vmm: standard output: No space left on device\n"));
        Run("exec \"$@\" >&-", arguments).Should().Be(new VmmResult(1, "", "vmm: standard output: Bad file descriptor\n"));
    }

    [Fact]
    public void Without_a_place_for_the_line_the_status_says_it()
    {
        Run("exec \"$@\" >/dev/full 2>&1", "devices").Should().Be(new VmmResult(1, "", ""));
    }

    [Fact]
    public void A_pipe_that_nobody_reads_is_no_failure()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-pipe");
        try
        {
            string pipe = Path.Combine(folder.FullName, "pipe");
            Run($"mkfifo '{pipe}' && exec 3<>'{pipe}' 4>'{pipe}' && exec 3<&- && exec \"$@\" >&4", "devices").Should().Be(new VmmResult(0, "", ""));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static VmmResult Run(string script, params string[] arguments)
    {
        return VmmProcess.RunProgram("sh", ["-c", script, "sh", VmmProcess.Command, .. arguments]);
    }
}
