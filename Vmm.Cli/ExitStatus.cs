namespace Vmm.Cli;

/// <summary>Exit statuses of the command.</summary>
public static class ExitStatus
{
    /// <summary>The guest powered off, or reset with --no-reboot, or the run was ended by a signal.</summary>
    public const int Success = 0;

    /// <summary>The host failed: a file, a tap, memory, /dev/kvm.</summary>
    public const int HostFailed = 1;

    /// <summary>A conformance check failed.</summary>
    public const int ChecksFailed = 1;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The guest died: a triple fault or an internal error.</summary>
    public const int GuestDied = 3;
}
