namespace Vmm.Tests.Nested;

/// <summary>QEMU as the VMM of a case, to compare ours with.</summary>
internal static class QemuMachine
{
    /// <summary>For <see cref="LabCase.Command"/>: the machine that <c>vmm run</c> makes for a case of one processor and 512 MiB.</summary>
    /// <param name="devices">Words for its devices.</param>
    public static string Command(string devices)
    {
        return "qemu-system-x86_64 -M q35,accel=kvm,kernel-irqchip=on -cpu host -smp 1 -m 512 -nodefaults -vga none -display none -no-reboot "
            + $"-serial file:console -kernel $KERNEL -initrd $INITRAMFS -append \"$CMDLINE\" {devices}";
    }
}
