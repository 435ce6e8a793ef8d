using System;
using System.IO;

namespace Vmm.Tests;

/// <summary>Finds files of the checkout that the tests were built from.</summary>
internal static class Repository
{
    /// <summary>The folder that holds VmmDevices.sln.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The full path of a file named relative to the root.</summary>
    public static string PathOf(string relative) => Path.Combine(Root, relative);

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "VmmDevices.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"no VmmDevices.sln above {AppContext.BaseDirectory}");
    }
}
