using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;

namespace Vmm.Tests.Fakes;

/// <summary>A file that is gone after the test.</summary>
public sealed class TemporaryFile : IDisposable
{
    public TemporaryFile(long length = 0, string? folder = null)
    {
        Path = System.IO.Path.Combine(folder ?? System.IO.Path.GetTempPath(), $"vmm-test-{Guid.NewGuid():n}");
        using FileStream stream = File.Create(Path);
        stream.SetLength(length);
    }

    public TemporaryFile(byte[] content, string? folder = null)
        : this(0, folder)
    {
        File.WriteAllBytes(Path, content);
    }

    public string Path { get; }

    /// <summary>The content, read without regard to locks.</summary>
    public byte[] Content => File.ReadAllBytes(Path);

    /// <summary>Bytes of storage behind a file, which may be fewer than it is long.</summary>
    public static long Allocated(string path)
    {
        using Process du = Process.Start(new ProcessStartInfo("du", ["-B1", path]) { RedirectStandardOutput = true })!;
        string text = du.StandardOutput.ReadToEnd();
        du.WaitForExit();
        return long.Parse(text.Split('\t')[0], CultureInfo.InvariantCulture);
    }

    public void Dispose() => File.Delete(Path);
}
