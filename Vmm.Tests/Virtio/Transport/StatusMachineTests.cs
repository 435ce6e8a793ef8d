using System.Collections.Generic;
using System.Linq;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 2.1 and 3.1.1: every written byte in every state.</summary>
[Trait("Behaviour", "VTP-5")]
public sealed class StatusMachineTests
{
    // The steps of 3.1.1: the status before, the status after. Everything else that is not the same bits again is ignored.
    private static readonly HashSet<(int From, int To)> Steps =
    [
        (0x00, 0x01), // 2: the guest has noticed the device
        (0x01, 0x03), // 3: it knows how to drive it
        (0x00, 0x03), // both at once
        (0x03, 0x0b), // 5: features
        (0x0b, 0x0f), // 8: live
        (0x00, 0x80), (0x01, 0x81), (0x03, 0x83), (0x0b, 0x8b), (0x0f, 0x8f), // "MUST set the FAILED status bit", at any step
    ];

    private static readonly int[] States = [0x00, 0x01, 0x03, 0x0b, 0x0f, 0x80, 0x81, 0x83, 0x8b, 0x8f];

    [Fact]
    public void Every_byte_in_every_state_does_what_the_table_says()
    {
        foreach (int state in States.Concat(States.Where(s => (s & 4) != 0).Select(s => s | 0x40)))
        {
            for (int written = 0; written <= 0xff; written++)
            {
                // DEVICE_NEEDS_RESET and bits that nobody has defined say nothing when they are written.
                int meant = written & 0x8f;
                int driver = state & 0x8f;
                bool step = Steps.Contains((driver, meant));
                int expected = written == 0 ? 0 : step ? state | meant : state;

                StatusChange change = StatusMachine.Judge((DeviceStatus)state, (byte)written, out DeviceStatus next);

                ((int)next).Should().Be(expected, "0x{0:x2} was written in state 0x{1:x2}", written, state);
                bool illegal = written != 0 && meant != driver && !step;
                (change == StatusChange.Illegal).Should().Be(illegal, "0x{0:x2} was written in state 0x{1:x2}", written, state);
                (change == StatusChange.Reset).Should().Be(written == 0);
            }
        }
    }

    [Fact]
    public void What_is_ignored_is_counted_and_changes_nothing()
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate().Should().BeTrue();
        long before = rig.Function.CountOf(GuestMistake.StatusSkipped);
        foreach (byte written in new byte[] { 1, 3, 4, 8, 7, 9, 0xd, 0xe })
        {
            rig.Driver.Status = written;
            rig.Driver.Status.Should().Be(0xb);
        }

        rig.Function.CountOf(GuestMistake.StatusSkipped).Should().Be(before + 8);
        rig.Device.Count("start").Should().Be(0);
    }

    [Theory]
    [InlineData(0x1f)]
    [InlineData(0x2f)]
    [InlineData(0x4f)]
    [InlineData(0x7f)]
    public void Unknown_bits_do_not_keep_DRIVER_OK_from_working(byte written)
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate().Should().BeTrue();
        rig.Driver.Status = written;
        rig.Driver.Status.Should().Be(0xf);
        rig.Device.Count("start").Should().Be(1);
    }

    [Fact]
    public void FAILED_stops_the_device_until_it_is_reset()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: [0, 1]);
        rig.Driver.Status = 0x8f;
        rig.Driver.Status.Should().Be(0x8f);
        rig.Device.Rings.Should().OnlyContain(ring => ring == null);
        rig.Doorbells.Addresses.Should().BeEmpty();
        rig.Driver.Status = 0xf;
        rig.Driver.Status.Should().Be(0x8f);
        rig.Device.Count("start").Should().Be(1);
        rig.Device.LastHost!.ConfigurationChanged();
        rig.Wire.IsAsserted.Should().BeFalse("a device that was given up on is silent");

        rig.Driver.Start(queues: 0);
        rig.Device.Rings[0].Should().NotBeNull();
        rig.Driver.Status.Should().Be(0xf);
    }
}
