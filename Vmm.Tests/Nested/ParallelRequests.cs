using System;
using System.IO;

namespace Vmm.Tests.Nested;

/// <summary>Requests of a guest to a disk that are outstanding all at once, as the guest saw them end.</summary>
/// <param name="Milliseconds">From the first request to the end of the last, and of the flush after writes.</param>
/// <param name="Done">How many moved their 4 KiB.</param>
/// <param name="Failed">How many did not.</param>
/// <param name="Error">The error number of one that failed, or of the flush; else 0.</param>
internal sealed record ParallelRequests(int Milliseconds, int Done, int Failed, int Error)
{
    /// <summary>EIO, which is what a guest's driver makes of a request that the device says has failed.</summary>
    public const int InputOutputError = 5;

    private static readonly Lazy<string> Program = new(Compile);

    /// <summary>The parts of the guest's initramfs that <see cref="Command"/> needs.</summary>
    public static string[] Files => [$"{Program.Value}=/bin/parallel-requests"];

    /// <summary>For the guest: <c>Command read|write DEVICE COUNT FIRST STRIDE</c>, places in KiB, prints what <see cref="Parse"/> reads.</summary>
    public const string Command = "parallel-requests";

    /// <summary>The answer that the command printed.</summary>
    public static ParallelRequests Parse(string text)
    {
        string[] words = text.Split(' ');
        words.Should().HaveCount(4, "the guest has to have asked; it said: {0}", text);
        return new(int.Parse(words[0]), int.Parse(words[1]), int.Parse(words[2]), int.Parse(words[3]));
    }

    /// <summary>Compiled to where the lab sees it; the name does not change, so that the guest's initramfs is made once.</summary>
    private static string Compile()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "parallel-requests");
        LabSession.Compile("Vmm.Tests/Nested/GuestPrograms/parallel-requests.c", path);
        return path;
    }
}
