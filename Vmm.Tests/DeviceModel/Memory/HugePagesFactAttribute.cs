using System.Globalization;
using System.IO;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>A test that needs a reserved huge page of 2 MiB; elsewhere skipped with the reason.</summary>
public sealed class HugePagesFactAttribute : FactAttribute
{
    private const string Free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

    public HugePagesFactAttribute()
    {
        if (!File.Exists(Free) || int.Parse(File.ReadAllText(Free), CultureInfo.InvariantCulture) == 0)
        {
            Skip = "no huge page of 2 MiB is reserved (/proc/sys/vm/nr_hugepages)";
        }
    }
}
