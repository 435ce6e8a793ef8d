using System;
using System.Globalization;
using System.IO;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>A huge page of 2 MiB that is reserved until this is disposed, unless the machine has a free one anyway.</summary>
internal sealed class HugePage : IDisposable
{
    private const string Folder = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    private const string Reserved = Folder + "/nr_hugepages";

    private readonly bool _added;

    public HugePage()
    {
        if (Read("free_hugepages") == 0)
        {
            File.WriteAllText(Reserved, $"{Read("nr_hugepages") + 1}");
            _added = true;
        }
    }

    /// <summary>Why there can be none, or null.</summary>
    public static string? WhyNot { get; } = FindWhyNot();

    public void Dispose()
    {
        if (_added)
        {
            File.WriteAllText(Reserved, $"{Read("nr_hugepages") - 1}");
        }
    }

    private static string? FindWhyNot()
    {
        try
        {
            if (Read("free_hugepages") == 0)
            {
                File.OpenWrite(Reserved).Dispose();
            }

            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"no huge page of 2 MiB is free, and none can be reserved: {e.Message}";
        }
    }

    private static int Read(string name) => int.Parse(File.ReadAllText($"{Folder}/{name}"), CultureInfo.InvariantCulture);
}
