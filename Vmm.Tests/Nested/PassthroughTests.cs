using System;

namespace Vmm.Tests.Nested;

/// <summary>
/// Nine real devices of the lab, passed to one Linux guest at once, each used by its driver or, where there is none, from user space.
/// </summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "VFIO-14")]
public sealed class PassthroughTests(PassthroughTests.Runs runs) : IClassFixture<PassthroughTests.Runs>
{
    private static readonly string[] Drivers = ["nvme", "e1000e", "xhci_hcd", "ahci", "8139cp", "snd_hda_intel", "virtio-pci"];

    [NestedFact]
    [Trait("Behaviour", "VFIO-2")]
    public void All_nine_at_once_have_their_drivers()
    {
        runs["all"].ShouldHavePassed();
        runs["all"].Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries).Should().OnlyContain(
            line => line.Contains(" WRN ", StringComparison.Ordinal) && line.Contains("cannot be reset", StringComparison.Ordinal),
            "most of the lab's devices have no reset, which an operator has to know, and nothing else is wrong");
        foreach (string driver in Drivers)
        {
            runs["all"].Fact($"DRIVER-{driver}").Should().Be(driver == "virtio-pci" ? "2" : "1", "{0}", driver);
        }
    }

    [NestedTheory]
    [InlineData("all", "nvme")]
    [InlineData("all", "sata")]
    [InlineData("all", "virtio")]
    [InlineData("pins", "nvme")]
    [InlineData("pins", "sata")]
    [InlineData("pins", "virtio")]
    [Trait("Behaviour", "VFIO-11")]
    public void Disks_read_as_the_host_has_them_and_keep_what_is_written(string run, string disk) => runs.DiskShouldHaveWorked(run, disk);

    [NestedTheory]
    [InlineData("all", "e1000e")]
    [InlineData("all", "8139cp")]
    [InlineData("pins", "e1000e")]
    [InlineData("pins", "8139cp")]
    [Trait("Behaviour", "VFIO-9")]
    public void Network_cards_have_a_link_and_traffic(string run, string driver) => runs.CardShouldHaveWorked(run, driver);

    [NestedFact]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    public void The_educational_device_computes_copies_and_interrupts_by_pin_and_by_message() => runs.EducationalDeviceShouldHaveWorked("all");

    [NestedTheory]
    [InlineData("all", "COUNTED", "5")]
    [InlineData("all", "KEYBOARD", "1")]
    [InlineData("all", "CODEC", "1")]
    [InlineData("pins", "KEYBOARD", "1")]
    [InlineData("pins", "CODEC", "1")]
    [Trait("Behaviour", "VFIO-4")]
    public void The_test_device_counts_and_the_controllers_find_what_is_behind_them(string run, string key, string value)
    {
        runs[run].ShouldHavePassed();
        runs[run].Fact(key).Should().Be(value);
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-9")]
    public void Interrupts_are_messages_where_the_device_has_them_and_the_pin_otherwise()
    {
        int.Parse(runs["all"].Fact("MESSAGE-LINES")).Should().BeGreaterThan(8);
        runs["all"].Fact("PIN-LINES").Should().Be("1", "one of the cards has a pin only");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-8")]
    public void Without_messages_all_devices_share_the_pins()
    {
        runs["pins"].ShouldHavePassed();
        runs["pins"].Fact("MESSAGE-LINES").Should().Be("0");
        runs["pins"].Fact("PIN").Should().Be("20");
    }

    [NestedTheory]
    [InlineData("0", "1 0")]
    [InlineData("2", "3 3")]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    public void A_driver_changes_between_messages_and_the_pin(string mode, string lines)
    {
        runs["all"].Fact($"MODE-{mode}").Should().Be($"2 {lines}", "two pings, so many lines of interrupts, so many of them messages");
    }

    [NestedTheory]
    [InlineData("nvme")]
    [InlineData("sata")]
    [InlineData("virtio")]
    [Trait("Behaviour", "VFIO-9")]
    public void Guest_and_host_count_the_same_interrupts(string device)
    {
        // The guest counts before and after the host looks, so what comes in between is in one of its counts. Messages do not merge: one request
        // at a time is under way.
        int least = Counted("END", device) - Counted("STARTED", device);
        int most = Counted("ENDED", device) - Counted("START", device);
        int host = int.Parse(runs["all"].Note($"COUNT-END-{device}")) - int.Parse(runs["all"].Note($"COUNT-START-{device}"));

        least.Should().BePositive();
        host.Should().BeInRange(least, most);
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-8")]
    public void Guest_and_host_count_the_same_of_the_pin()
    {
        Counted("START", "rtl8139").Should().BePositive();
        int.Parse(runs["all"].Note("COUNT-START-rtl8139")).Should().BeInRange(Counted("START", "rtl8139"), Counted("STARTED", "rtl8139"));
    }

    [NestedTheory]
    [InlineData("IRQS")]
    [InlineData("EVENTFDS")]
    [InlineData("DESCRIPTORS")]
    [InlineData("SLOTS")]
    [Trait("Behaviour", "VFIO-5")]
    [Trait("Behaviour", "VFIO-9")]
    public void Drivers_that_come_and_go_leave_nothing_on_the_host(string what)
    {
        runs["all"].Fact("REBOUND").Should().Be($"{PassthroughRuns.Rebinds}");
        runs["all"].Console.Should().NotContain("NOT-BOUND");
        int before = int.Parse(runs["all"].Note($"{what}-BEFORE"));
        before.Should().BePositive();
        runs["all"].Note($"{what}-AFTER").Should().Be($"{before}");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-10")]
    public void A_function_level_reset_of_the_guest_leaves_the_disk_usable()
    {
        runs["all"].Fact("RESET").Should().Be("done");
        runs["all"].Fact("AFTER-RESET").Should().Be("same");
    }

    [NestedTheory]
    [InlineData("terminated", 0)]
    [InlineData("killed", 137)]
    [Trait("Behaviour", "VFIO-10")]
    public void A_run_ended_by_a_signal_in_the_middle_of_transfers(string run, int status)
    {
        runs[run].Status.Should().Be(status, "{0}{1}", runs[run].Console, runs[run].Errors);
        runs[run].Console.Should().Contain("AT BUSY");
    }

    [NestedTheory]
    [InlineData("terminated")]
    [InlineData("killed")]
    [Trait("Behaviour", "VFIO-10")]
    public void The_hosts_own_drivers_use_the_devices_right_after_a_run(string run)
    {
        foreach (string disk in new[] { "nvme", "sata", "virtio" })
        {
            runs[run].Note($"HOST-{disk}").Should().Be(runs.Digest, "{0}: {1}", disk, runs[run].Notes);
        }

        runs[run].Note("HOST-e1000e").Should().Be("1");
    }

    private int Counted(string at, string device) => int.Parse(runs["all"].Fact($"COUNT-{at}-{device}"));

    public sealed class Runs() : PassthroughRuns("killed", "all", "pins", "terminated");
}
