using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Disks;

namespace Vmm.Benchmarks.Io;

/// <summary>
/// <c>io [--seconds S] [--rounds N] [--file tmpfs|cached|direct] [--depth N] [--write]</c>: a disk in process beside bare system calls on the same
/// file, in one run.
/// </summary>
/// <remarks>
/// Random 4 KiB reads. A round measures ours, a C loop of io_uring at the same depth, and a C loop of preadv, one after the other; of all rounds the
/// quickest counts, since a machine that does something else makes none quicker. Threads of the kernel that do what cannot be done at once are in
/// nobody's processor time.
/// </remarks>
internal static class IoBenchmark
{
    private const int BlockSize = 4096;
    private const long FileLength = 512L << 20;

    public static int Run(string[] words)
    {
        double seconds = 0.5;
        int rounds = 5;
        bool writes = false;
        TimeSpan? poll = null;
        string? only = null;
        int[] depths = [1, 8, 32, 128];
        for (int i = 0; i < words.Length; i++)
        {
            switch (words[i])
            {
                case "--seconds" when i + 1 < words.Length:
                    seconds = double.Parse(words[++i], CultureInfo.InvariantCulture);
                    break;
                case "--rounds" when i + 1 < words.Length:
                    rounds = int.Parse(words[++i], CultureInfo.InvariantCulture);
                    break;
                case "--poll" when i + 1 < words.Length:
                    poll = TimeSpan.FromMicroseconds(int.Parse(words[++i], CultureInfo.InvariantCulture));
                    break;
                case "--file" when i + 1 < words.Length:
                    only = words[++i];
                    break;
                case "--depth" when i + 1 < words.Length:
                    depths = [int.Parse(words[++i], CultureInfo.InvariantCulture)];
                    break;
                case "--write":
                    writes = true;
                    break;
                default:
                    Console.Error.WriteLine($"error: io has no word '{words[i]}'");
                    return 2;
            }
        }

        string folder = FindArtifacts();
        var rows = new List<IoRow>();
        Console.WriteLine(IoRow.Title);
        foreach ((string name, string path, bool direct) in Files(folder).Where(file => only is null || file.Name == only))
        {
            try
            {
                Fill(path);
                using var loop = new IoLoop();
                foreach (int depth in depths)
                {
                    IoRow row = Measure(loop, name, path, direct, depth, rounds, TimeSpan.FromSeconds(seconds), poll);
                    rows.Add(row);
                    Console.WriteLine(row);
                }
            }
            finally
            {
                File.Delete(path);
            }
        }

        IoReport.Write(Path.Combine(folder, "bench-io"), rows);
        Console.WriteLine($"written: {Path.Combine(folder, "bench-io")}.json and .md");
        if (writes)
        {
            string results = Path.Combine(folder, "..", "docs", "results");
            Directory.CreateDirectory(results);
            IoReport.Write(Path.Combine(results, "bench-io"), rows);
        }

        return 0;
    }

    private static IEnumerable<(string Name, string Path, bool Direct)> Files(string folder)
    {
        yield return ("tmpfs", "/dev/shm/vmm-bench-io.raw", false);
        yield return ("cached", Path.Combine(folder, "bench-io.raw"), false);
        yield return ("direct", Path.Combine(folder, "bench-io.raw"), true);
    }

    private static IoRow Measure(IoLoop loop, string name, string path, bool direct, int depth, int rounds, TimeSpan time, TimeSpan? poll)
    {
        long blocks = FileLength / BlockSize;
        var ours = new List<IoSample>();
        var ring = new List<IoSample>();
        var each = new List<IoSample>();
        Processors.Pin(0, 0);
        using (var machine = new DiskMachine(RawFileBackend.Open(path, readOnly: true, direct), depth, poll))
        {
            machine.Measure(TimeSpan.FromSeconds(1));
            for (int round = 0; round < rounds; round++)
            {
                ours.Add(machine.Measure(time));
                using FileDescriptor file = Open(path, direct);
                Processors.Pin(0, 1);
                ring.Add(loop.ReadByRing(file, blocks, depth, time));
                each.Add(loop.ReadEach(file, blocks, time));
                Processors.Pin(0, 0);
            }
        }

        return new IoRow(name, depth, Quickest(ours), Quickest(ring), Quickest(each));
    }

    private static IoSample Quickest(List<IoSample> samples) => samples.MaxBy(static sample => sample.RequestsPerSecond);

    private static FileDescriptor Open(string path, bool direct)
    {
        int error = DescriptorIo.Open(path, Libc.O_RDONLY | (direct ? Libc.O_DIRECT : 0), out FileDescriptor file);
        return error == 0 ? file : throw new InvalidOperationException($"{path} cannot be opened: errno {error}");
    }

    private static void Fill(string path)
    {
        byte[] bytes = new byte[4 << 20];
        new Random(1).NextBytes(bytes);
        using FileStream file = File.Create(path);
        for (long done = 0; done < FileLength; done += bytes.Length)
        {
            file.Write(bytes);
        }

        file.Flush(flushToDisk: true);
    }

    private static string FindArtifacts()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "VmmDevices.sln")))
            {
                return Directory.CreateDirectory(Path.Combine(folder.FullName, "artifacts")).FullName;
            }
        }

        throw new InvalidOperationException("the source tree was not found above the program");
    }
}
