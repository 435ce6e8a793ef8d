using System;
using System.Threading;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 2.2 and section 6.</summary>
[Trait("Behaviour", "VTP-4")]
public sealed class NegotiationTests
{
    [Fact]
    public void The_transport_adds_its_features_to_the_devices()
    {
        using var rig = new TransportRig();

        rig.Driver.OfferedFeatures().Should().Be(rig.Device.Features | TransportFeatures.Version1 | TransportFeatures.RingReset);
    }

    [Fact]
    public void Options_add_and_withhold_features()
    {
        var options = new VirtioPciOptions
        {
            RingReset = false,
            NotificationData = true,
            AccessPlatform = true,
            IndirectDescriptors = false,
            EventIndex = false,
        };
        using var rig = new TransportRig(options: options);

        rig.Driver.OfferedFeatures().Should().Be(
            0x55 | TransportFeatures.Version1 | TransportFeatures.NotificationData | TransportFeatures.AccessPlatform);
    }

    [Theory]
    [InlineData(false, false, 0ul)]
    [InlineData(true, false, 0ul)]
    [InlineData(false, true, 0ul)]
    [InlineData(true, true, RingFeatures.InOrder)]
    public void IN_ORDER_is_offered_if_it_is_wanted_and_the_device_keeps_it(bool wanted, bool kept, ulong expected)
    {
        using var rig = new TransportRig(new FakeVirtioDevice { InOrder = kept }, new VirtioPciOptions { InOrder = wanted });
        (rig.Driver.OfferedFeatures() & RingFeatures.InOrder).Should().Be(expected);
    }

    [Fact]
    public void Packed_rings_are_offered_only_if_they_are_wanted()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { PackedRing = true });
        rig.Driver.OfferedFeatures().Should().Be(
            rig.Device.Features | TransportFeatures.Version1 | TransportFeatures.RingReset | RingFeatures.Packed);
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(0x55ul)]
    public void FEATURES_OK_is_refused_without_VERSION_1(ulong features)
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate(features).Should().BeFalse();
        rig.Driver.Status.Should().Be(3, "the steps before stay");
        rig.Function.CountOf(GuestMistake.FeaturesRefused).Should().Be(1);
        rig.Driver.Status = 0xf;
        rig.Driver.Status.Should().Be(3, "DRIVER_OK does not come before FEATURES_OK");
    }

    [Theory]
    [InlineData(2ul)]
    [InlineData(1ul << 27)]
    [InlineData(RingFeatures.Packed)]
    [InlineData(TransportFeatures.NotificationData)]
    [InlineData(1ul << 63)]
    public void FEATURES_OK_is_refused_for_a_bit_that_was_not_offered(ulong bit)
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate(TestDriver.Version1 | bit).Should().BeFalse();
        rig.Driver.Acknowledge(TestDriver.Version1);
        rig.Driver.Status = 0xb;
        rig.Driver.Status.Should().Be(0xb, "the driver may try a smaller set");
    }

    [Fact]
    public void FEATURES_OK_is_refused_where_the_device_type_refuses()
    {
        using var rig = new TransportRig(new FakeVirtioDevice { Accepts = static features => (features & 4) == 0 || (features & 1) != 0 });
        rig.Driver.Negotiate(TestDriver.Version1 | 4).Should().BeFalse("bit 4 needs bit 0");
        rig.Driver.Negotiate(TestDriver.Version1 | 5).Should().BeTrue();
    }

    [Fact]
    public void A_device_whose_addresses_are_translated_refuses_drivers_that_do_not_know()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { AccessPlatform = true });
        rig.Driver.Negotiate(TestDriver.Version1).Should().BeFalse();
        rig.Driver.Negotiate(TestDriver.Version1 | TransportFeatures.AccessPlatform).Should().BeTrue();
    }

    [Fact]
    public void Every_subset_of_what_is_offered_is_accepted()
    {
        using var rig = new TransportRig();
        ulong offered = rig.Driver.OfferedFeatures() & ~TestDriver.Version1;
        for (ulong subset = offered; ; subset = (subset - 1) & offered)
        {
            rig.Driver.Negotiate(TestDriver.Version1 | subset).Should().BeTrue("0x{0:x}", subset);
            if (subset == 0)
            {
                break;
            }
        }
    }

    [Fact]
    public void Features_are_frozen_once_they_are_accepted_and_reach_the_device()
    {
        using var rig = new TransportRig();
        ulong features = TestDriver.Version1 | RingFeatures.EventIndex | 1;
        rig.Driver.Negotiate(features).Should().BeTrue();
        rig.Driver.Acknowledge(TestDriver.Version1 | 0x55);
        rig.Function.CountOf(GuestMistake.FeaturesFrozen).Should().Be(2);
        rig.Driver.Set(Reg.DriverFeatureSelect, 4, 0);
        rig.Driver.Get(Reg.DriverFeature, 4).Should().Be((uint)features);
        rig.Function.NegotiatedFeatures.Should().Be(features);
        rig.Driver.SetUpQueue(0);
        rig.Driver.Status = 0xf;
        rig.Device.StartedFeatures.Should().Be(features);
        rig.Device.Rings[0]!.Features.Should().Be(features);
    }

    [Fact]
    public void Of_two_processors_that_set_FEATURES_OK_one_decides_what_is_in_force()
    {
        using var rig = new TransportRig();
        const ulong First = TestDriver.Version1 | 0x01;
        const ulong Second = TestDriver.Version1 | 0x54;
        ulong inForce = 0;
        rig.Device.Accepts = features =>
        {
            if (features == First)
            {
                // Another processor overtakes the one whose features are being looked at.
                var other = new Thread(() =>
                {
                    rig.Driver.Acknowledge(Second);
                    rig.Driver.Status = 0xb;
                    inForce = rig.Function.NegotiatedFeatures;
                });
                other.Start();
                other.Join();
            }

            return true;
        };
        rig.Driver.Negotiate(First).Should().BeTrue();
        inForce.Should().Be(Second);
        rig.Function.NegotiatedFeatures.Should().Be(Second, "features do not change once FEATURES_OK is set");
        rig.Device.Negotiations.Should().Equal(Second);
        rig.Driver.Status = 0xf;
        rig.Device.StartedFeatures.Should().Be(Second);
    }

    [Fact]
    public void The_device_hears_of_the_features_with_FEATURES_OK_and_once_a_round()
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate(TestDriver.Version1 | 0x44).Should().BeTrue();
        rig.Device.Negotiations.Should().Equal(TestDriver.Version1 | 0x44);
        rig.Driver.Status = 0xf;
        rig.Driver.Negotiate(0).Should().BeFalse();
        rig.Device.Negotiations.Should().HaveCount(1, "nothing was negotiated");
        rig.Driver.Negotiate(TestDriver.Version1).Should().BeTrue();
        rig.Device.Negotiations.Should().Equal(TestDriver.Version1 | 0x44, TestDriver.Version1);
    }

    [Fact]
    public void A_device_that_fails_to_take_the_features_in_harms_nobody()
    {
        using var rig = new TransportRig();
        rig.Device.OnCall = static call => _ = call == "negotiated" ? throw new InvalidOperationException("not now") : 0;
        rig.Driver.Negotiate().Should().BeTrue();
        rig.Device.OnCall = static _ => { };
        rig.Driver.Status = 0xf;
        rig.Driver.Status.Should().Be(0xf);
    }
}
