using Vmm.DeviceModel.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>Turns a refused step into an exception whose one line says what helps.</summary>
internal static class Refusal
{
    /// <summary>A refused step.</summary>
    /// <param name="step">What was tried.</param>
    /// <param name="path">What it was about.</param>
    /// <param name="result">The negated errno.</param>
    /// <param name="detail">What is wrong and what helps.</param>
    public static VfioException Of(string step, string path, int result, string detail)
    {
        string limit = -result switch
        {
            Errno.EMFILE => "; the limit of open files of this process (RLIMIT_NOFILE, ulimit -n) is reached",
            Errno.ENFILE => "; the limit of open files of the system (fs.file-max) is reached",
            _ => string.Empty,
        };
        return new VfioException(step, path, -result, detail + limit);
    }

    /// <summary>A node that cannot be opened.</summary>
    /// <param name="path">The node.</param>
    /// <param name="errno">Why.</param>
    /// <param name="absent">What helps if it is not there.</param>
    public static VfioException Open(string path, int errno, string absent)
    {
        string detail = errno switch
        {
            Errno.ENOENT => absent,
            Errno.EACCES or Errno.EPERM => $"no permission: chown USER {path} (or a udev rule for the group that you are in), or run as root",
            Errno.EBUSY => "in use: another process (or another VFIO host of this one) has it open; see fuser " + path,
            _ => "cannot be opened",
        };
        return Of("open", path, -errno, detail);
    }
}
