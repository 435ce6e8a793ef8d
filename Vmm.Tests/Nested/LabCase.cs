namespace Vmm.Tests.Nested;

/// <summary>One guest run of a <see cref="LabSession"/>.</summary>
/// <param name="Name">Also the name of its folder in the lab.</param>
/// <param name="Arguments">Words for <c>vmm run</c> besides kernel, initramfs, serial and console.</param>
public sealed record LabCase(string Name, string Arguments = "")
{
    /// <summary>What the guest runs (busybox sh).</summary>
    public string Guest { get; init; } = "true";

    /// <summary>
    /// Bash words of another program to run instead of <c>vmm run</c>, of which only <see cref="CommandLine"/> is taken as $CMDLINE; its stdout is
    /// part of <see cref="LabResult.Notes"/>.
    /// </summary>
    public string Command { get; init; } = "";

    /// <summary>Kernel, a word of build/lab/kernels: cloud, amd64, cloud-6.12 ...</summary>
    public string Flavour { get; init; } = "cloud";

    /// <summary>Boot the extracted ELF image instead of the bzImage.</summary>
    public bool Vmlinux { get; init; }

    /// <summary>Added to the kernel command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>The virtio console, as <c>--console</c> has it.</summary>
    public string Console { get; init; } = "off";

    /// <summary>Memory of the guest.</summary>
    public string Memory { get; init; } = "size=512M";

    /// <summary>Processors of the guest.</summary>
    public int Processors { get; init; } = 1;

    /// <summary>Whether a reset ends the run.</summary>
    public bool NoReboot { get; init; } = true;

    /// <summary>Modules the guest loads besides the usual ones.</summary>
    public string Modules { get; init; } = "";

    /// <summary>Files of this machine that the guest has: <c>HOST=GUEST</c> each.</summary>
    public string[] Files { get; init; } = [];

    /// <summary>Bash that runs in the lab before vmm, in the case's folder; its output is <see cref="LabResult.Notes"/>.</summary>
    public string Before { get; init; } = "";

    /// <summary>Bash that runs beside vmm, which is process $pid; its output is <see cref="LabResult.Notes"/>.</summary>
    public string Beside { get; init; } = "";

    /// <summary>Bash that runs after vmm has ended; its output is <see cref="LabResult.Notes"/>.</summary>
    public string After { get; init; } = "";

    /// <summary>The run is killed after that many seconds (status 137).</summary>
    public int TimeoutSeconds { get; init; } = 300;
}
