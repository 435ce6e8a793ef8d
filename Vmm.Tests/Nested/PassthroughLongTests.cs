using System.Linq;

namespace Vmm.Tests.Nested;

/// <summary>Each of the nine devices alone in a Linux guest, and all of them over reboots.</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "VFIO-14")]
public sealed class PassthroughLongTests(PassthroughLongTests.Runs runs) : IClassFixture<PassthroughLongTests.Runs>
{
    [LongNestedTheory]
    [InlineData("nvme")]
    [InlineData("sata")]
    [InlineData("virtio")]
    [Trait("Behaviour", "VFIO-11")]
    public void A_disk_alone_reads_as_the_host_has_it_and_keeps_what_is_written(string disk) => runs.DiskShouldHaveWorked($"alone-{disk}", disk);

    [LongNestedTheory]
    [InlineData("e1000e", "e1000e")]
    [InlineData("rtl8139", "8139cp")]
    [Trait("Behaviour", "VFIO-9")]
    public void A_network_card_alone_has_a_link_and_traffic(string device, string driver) => runs.CardShouldHaveWorked($"alone-{device}", driver);

    [LongNestedFact]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    public void The_educational_device_alone_computes_copies_and_interrupts() => runs.EducationalDeviceShouldHaveWorked("alone-edu");

    [LongNestedTheory]
    [InlineData("testdev", "COUNTED", "5")]
    [InlineData("xhci", "KEYBOARD", "1")]
    [InlineData("hda", "CODEC", "1")]
    [Trait("Behaviour", "VFIO-4")]
    public void The_test_device_alone_counts_and_the_controllers_find_what_is_behind_them(string device, string key, string value)
    {
        runs[$"alone-{device}"].ShouldHavePassed();
        runs[$"alone-{device}"].Fact(key).Should().Be(value);
    }

    [LongNestedFact]
    [Trait("Behaviour", "VFIO-10")]
    public void Reboots_leave_every_device_usable_and_nothing_on_the_host()
    {
        LabResult result = runs["reboot"];
        result.ShouldHavePassed();
        result.Console.Split("GUEST-READY").Should().HaveCount(PassthroughRuns.Reboots + 2);
        result.Console.Split($" {runs.Digest}").Should().HaveCount(((PassthroughRuns.Reboots + 1) * 3) + 1, "three disks were read at each boot");
        result.Console.Should().NotContain("MISSED");
        foreach (string what in new[] { "IRQS", "EVENTFDS", "SLOTS" })
        {
            result.Note($"{what}-BOOT-{PassthroughRuns.Reboots + 1}").Should().Be(
                result.Note($"{what}-BOOT-1"), "{0} at the last boot are those at the first", what);
        }
    }

    public sealed class Runs() : PassthroughRuns([.. Devices.Select(device => "alone-" + device.Name), "reboot"]);
}
