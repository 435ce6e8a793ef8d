using System.IO;

namespace Vmm.Tests.Nested;

/// <summary>Bash for the lab that makes disks which are slow or fail, of memory and the kernel's device mapper.</summary>
internal static class DeviceMapper
{
    /// <summary>For <see cref="LabCase.Before"/>, and for <see cref="LabCase.Beside"/> where tables are exchanged there.</summary>
    /// <remarks>
    /// <c>table NAME TABLE</c> makes /dev/mapper/NAME of a table of dmsetup, or gives it another one while it is in use.
    /// <c>slow NAME MEMORY MIB READ WRITE</c> makes one of /dev/ramMEMORY of which each read and each write takes so many milliseconds, however
    /// many there are at once.
    /// </remarks>
    public const string Functions = """
        export DM_DISABLE_UDEV=1
        modprobe -d "$LAB_KERNEL" brd rd_nr=4 rd_size=262144
        modprobe -d "$LAB_KERNEL" dm-delay
        table() {
            if [[ ! -e /dev/mapper/$1 ]]; then dmsetup create "$1" <<<"$2"; return; fi
            dmsetup load "$1" <<<"$2"
            dmsetup suspend "$1" --noflush --nolockfs
            dmsetup resume "$1"
        }
        slow() { table "$1" "0 $(($3 * 2048)) delay /dev/ram$2 0 $4 /dev/ram$2 0 $5"; }

        """;

    /// <summary>For <see cref="LabCase.After"/>: all of them go.</summary>
    public const string End = "\nDM_DISABLE_UDEV=1 dmsetup remove_all\n";

    /// <summary>Why these disks cannot be made here, or null.</summary>
    public static string? WhyNot { get; } = LabSession.WhyNot
        ?? (File.Exists("/usr/sbin/dmsetup") || File.Exists("/sbin/dmsetup") ? null : "dmsetup is not installed: run build/test as root");
}
