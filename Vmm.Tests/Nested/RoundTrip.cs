using System;
using System.IO;

namespace Vmm.Tests.Nested;

/// <summary>The file data of the share, from the host to the guest and back at once in four streams, compared by the host.</summary>
internal static class RoundTrip
{
    /// <summary>Bash for the lab before the run.</summary>
    public static string Prepare => $"ip link set lo up\n{Program.Value} serve $SHARE/data 9000 & echo $! >server\n";

    /// <summary>Bash for the lab after the run.</summary>
    public const string End = "\nkill $(cat server)\n";

    /// <summary>For the guest: prints how many of the four streams came back as they were.</summary>
    public const string Command = "/bin/round-trip fetch";

    /// <summary>The port of the host, for <see cref="Command"/>.</summary>
    public const string Port = "9000";

    private static readonly Lazy<string> Program = new(Compile);

    /// <summary>What the guest needs.</summary>
    public static string[] Files => [$"{Program.Value}=/bin/round-trip"];

    /// <summary>Compiled to where the lab sees it; the name does not change, so that the guest's initramfs is made once.</summary>
    private static string Compile()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "round-trip");
        (int status, string output) = LabSession.Execute(
            60, "/usr/bin/gcc", "-O2", "-static", "-o", path, Repository.PathOf("Vmm.Tests/Nested/round-trip.c"));
        status.Should().Be(0, "the program has to compile: {0}", output);
        return path;
    }
}
