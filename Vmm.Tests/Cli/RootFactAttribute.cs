using System;
using System.Linq;

namespace Vmm.Tests.Cli;

/// <summary>A test that changes the view of the file system of one process, for which it has to be root.</summary>
internal sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute(params string[] programs)
    {
        string[] missing = [.. programs.Where(p => VmmProcess.Find(p) is null)];
        if (Environment.UserName != "root")
        {
            Skip = "needs root, for a mount namespace";
        }
        else if (missing.Length != 0)
        {
            Skip = $"not installed: {string.Join(", ", missing)}";
        }
        else if (VmmProcess.RunProgram("unshare", ["--mount", "true"]).Status != 0)
        {
            Skip = "this root may not make a mount namespace";
        }
    }
}
