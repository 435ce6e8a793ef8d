namespace Vmm.Tests.Nested;

/// <summary>Pieces of guest scripts (busybox sh); results are printed as <c>KEY value</c>.</summary>
internal static class GuestScripts
{
    /// <summary>Digest of the first disk, the processors, the memory, and what the kernel complains of.</summary>
    public const string ReadDiskAndReport = """
        echo "KERNEL $(uname -r)"
        echo "PROCESSORS $(grep -c ^processor /proc/cpuinfo)"
        echo "MEMORY $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
        echo "SUM $(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
        echo "MSI $(grep -c 'PCI-MSI.*virtio' /proc/interrupts)"
        echo "INTX $(grep -c 'IO-APIC.*virtio' /proc/interrupts)"
        grep virtio /proc/interrupts
        dmesg -r | grep -E '^<[0-3]>'
        echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
        """;

    /// <summary>Ends the script with status 1 if the kernel logged an error.</summary>
    public const string FailOnComplaints = """
        dmesg -r | grep -E '^<[0-3]>' && exit 1
        """;
}
