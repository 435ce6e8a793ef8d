using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Real devices through the kernel's VFIO, used from user space by the program of <c>VfioProbe</c>: all nine that the lab has.</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "VFIO-14")]
public sealed class VfioDeviceTests(VfioDeviceTests.Runs runs) : IClassFixture<VfioDeviceTests.Runs>
{
    private static readonly string[] Ids =
        ["1b36:0010", "8086:10d3", "1234:11e8", "1b36:000d", "8086:2922", "10ec:8139", "8086:2668", "1b36:0005", "1af4:1042"];

    [NestedFact]
    [Trait("Behaviour", "VFIO-1")]
    [Trait("Behaviour", "VFIO-2")]
    public void All_devices_attach_to_one_address_space_and_show_what_sysfs_shows()
    {
        string[] facts = runs["devices"];

        facts.Should().Contain(fact => fact.StartsWith("ATTACHED 9 ")).And.Contain("SPACES 1");
        for (int i = 0; i < Ids.Length; i++)
        {
            string name = $"0000:00:{0x10 + i:x2}.0";
            facts.Should().Contain(fact => fact.StartsWith($"ID-{name} {Ids[i]}"));
            facts.Should().Contain($"SAME-{name} yes").And.Contain(fact => fact.StartsWith($"HOTRESET-{name} neither"));
        }

        // What the emulated devices are known to have.
        facts.Should().Contain("REGION-0000:00:10.0 Bar0 4000 rwt [0+4000]");
        facts.Should().Contain("REGION-0000:00:12.0 Bar0 100000 rw [0+100000]");
        facts.Should().Contain("IRQ-0000:00:15.0 Pin 1 grows automasked").And.NotContain(fact => fact.StartsWith("IRQ-0000:00:15.0 Ms"));
        facts.Should().Contain("LEFT 0");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-11")]
    public void The_educational_device_computes_and_moves_memory_while_regions_come_and_go()
    {
        string[] facts = runs["edu"];

        facts.Should().Contain("IDENTIFICATION 010000ed").And.Contain("ALIVE True").And.Contain("FACTORIAL 3628800");
        facts.Should().Contain("DMA both ways").And.Contain("HOTPLUG right, many changes").And.Contain("REMOVED reached while there, not after");
        facts.Should().Contain("LEFT 0");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    public void The_educational_device_interrupts_by_its_pin_and_by_messages()
    {
        runs["edu"].Should().Contain("INTERRUPTS-Pin 20 raised, factorial, copy, disabled")
            .And.Contain("INTERRUPTS-Msi 20 raised, factorial, copy, disabled");
    }

    [NestedFact]
    [Trait("Behaviour", "DRV-1")]
    public void A_virtio_disk_is_driven_from_user_space_by_each_way_of_completion()
    {
        string[] facts = runs["disk"];

        foreach (string mode in new[] { "Polling", "Pin", "Messages" })
        {
            facts.Should().Contain($"DISK-{mode} {mode} right written").And.Contain($"MAPPINGS-{mode} 0");
        }
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-10")]
    public void A_device_whose_user_was_killed_is_usable_at_once()
    {
        runs["killed"]
            .Should().Contain("KILLED 137").And.Contain("FACTORIAL 3628800").And.Contain("INTERRUPTS-Msi 20 raised, factorial, copy, disabled");
    }

    [NestedTheory]
    [InlineData("absent", "there is no such device")]
    [InlineData("not-pci", "not a PCI device")]
    [InlineData("not-bound", "echo vfio-pci >/sys/bus/pci/devices/")]
    [InlineData("no-permission", "no permission: chown USER /dev/vfio/")]
    [InlineData("busy", "in use: another process")]
    [InlineData("locked-memory", "raise it to more than 1024 (ulimit -l KIB")]
    public void Refusals_name_the_cause_and_what_helps(string section, string helps)
    {
        string.Join('\n', runs[section]).Should().Contain(helps);
    }

    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, string[]>> _sections = new(Execute);

        public string[] this[string name] => _sections.Value[name];

        private static Dictionary<string, string[]> Execute()
        {
            byte[] content = RandomNumberGenerator.GetBytes(2 << 20);
            DirectoryInfo share = Directory.CreateTempSubdirectory("vmmdevices-nested.");
            try
            {
                string disk = Path.Combine(share.FullName, "disk");
                string nvme = Path.Combine(share.FullName, "nvme");
                File.WriteAllBytes(disk, content);
                File.WriteAllBytes(nvme, content);
                string script = Path.Combine(share.FullName, "script");
                File.WriteAllText(script, Script(Convert.ToHexStringLower(SHA256.HashData(content))));
                string[] devices =
                [
                    "nvme,serial=1,drive=nvme", "e1000e", "edu", "qemu-xhci", "ahci", "rtl8139", "intel-hda", "pci-testdev",
                    "virtio-blk-pci,drive=disk,iommu_platform=on,disable-legacy=on",
                ];
                string[] drives = ["-drive", $"if=none,id=nvme,format=raw,file={nvme}", "-drive", $"if=none,id=disk,format=raw,file={disk}"];
                (int status, string output) = LabSession.RunLab(
                    600,
                    [
                        .. devices.SelectMany(device => new[] { "--vfio", device }), .. drives.SelectMany(word => new[] { "--qemu", word }),
                        "--", "bash", script,
                    ]);
                status.Should().Be(0, "the lab has to run the script: {0}", output);
                return output.Split("\n== ").Skip(1).Select(section => section.Split('\n')).ToDictionary(lines => lines[0], lines => lines[1..]);
            }
            finally
            {
                share.Delete(recursive: true);
            }
        }

        /// <summary>Sections of output, each headed by <c>== NAME</c>. Nobody's own limit of locked memory binds root, so others try that.</summary>
        private static string Script(string digest)
        {
            return $$"""
                exec 2>&1
                probe() { timeout 120 dotnet {{Path.Combine(AppContext.BaseDirectory, "VfioProbe.dll")}} "$@"; echo "STATUS $?"; }
                nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp DOTNET_EnableDiagnostics=0 "$@"; }
                at() { echo; echo "== $1"; }
                set -- $LAB_VFIO
                group() { basename $(readlink /sys/bus/pci/devices/$1/iommu_group); }
                at devices; probe devices $LAB_VFIO
                at edu; probe edu $3
                at disk; probe disk $9 {{digest}}
                at killed
                dotnet {{Path.Combine(AppContext.BaseDirectory, "VfioProbe.dll")}} edu $3 & pid=$!
                while ! ls -l /proc/$pid/fd 2>/dev/null | grep -q vfio-device; do kill -0 $pid || break; done
                kill -9 $pid; wait $pid; echo "KILLED $?"
                probe edu $3
                at absent; probe refused /sys/bus/pci/devices/0000:00:1e.7
                at not-pci; probe refused /sys/bus/cpu/devices/cpu0
                at not-bound; probe refused $(echo /sys/bus/pci/drivers/virtio-pci/0000:* | cut -d' ' -f1)
                at busy; exec 5<>/dev/vfio/$(group $3); probe refused /sys/bus/pci/devices/$3; exec 5>&-
                export -f probe
                at no-permission; chmod 600 /dev/vfio/*; nobody bash -c "probe refused /sys/bus/pci/devices/$3"
                at locked-memory; chmod 666 /dev/vfio/*; ulimit -l 512; nobody bash -c "probe edu $3"
                at end
                """;
        }
    }
}
