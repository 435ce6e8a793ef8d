using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Cli;
using Vmm.Conformance;
using Vmm.Machine.Catalogue;

namespace Vmm.Tests.Conformance;

/// <summary>
/// The whole catalogue on every device of our own, in the variants that its options make: nothing fails, and every skip has an option for a reason.
/// </summary>
public sealed class ModelTests
{
    private const string NoPorts = "there is no I/O BAR";
    private const string NoRom = "there is no expansion ROM";
    private const string NoSharedMemory = "there is no shared memory region";
    private const string NoVendorData = "there is no vendor data capability";
    private const string NoNotificationData = "VIRTIO_F_NOTIFICATION_DATA is not offered";
    private const string NoRingReset = "VIRTIO_F_RING_RESET is not offered";
    private const string OneQueue = "there is only one queue";
    private const string OneVector = "there is only one MSI-X vector";
    private const string NoMessages = "there is no MSI-X capability";
    private const string OneRequest = "the queue has room for one request only";
    private const string SmallQueues = "there are no two queues of 4 descriptors";
    private const string LargestQueue = "the queue has the largest size that there is";

    private const string NoPackedRing = "VIRTIO_F_RING_PACKED is not offered";
    private const string NoInOrder = "VIRTIO_F_IN_ORDER is not offered";
    private const string NoIndirect = "VIRTIO_F_INDIRECT_DESC is not offered";
    private const string NoEventIndex = "VIRTIO_F_EVENT_IDX is not offered";
    private const string NoReadOnly = "feature bit 5 is not offered";
    private const string NoQueues = "feature bit 12 is not offered";
    private const string NoMtu = "feature bit 3 is not offered";
    private const string NoPairs = "feature bit 22 is not offered";
    private const string NoLongChains = "the queue has fewer than 8 descriptors";
    private const string NoThreeDescriptors = "the queue has fewer than 3 descriptors";
    private const string AboutBlock = "it is about block devices";
    private const string AboutNet = "it is about net devices";
    private const string AboutEntropy = "it is about entropy devices";
    private const string AboutConsole = "it is about console devices";

    private static readonly string[] _never = [NoPorts, NoRom, NoSharedMemory, NoVendorData];

    private static readonly Dictionary<string, string[]> _byModel = new()
    {
        ["blk"] = [AboutNet, AboutEntropy, AboutConsole, OneQueue, NoReadOnly, NoQueues],
        ["net"] = [AboutBlock, AboutEntropy, AboutConsole, NoMtu, NoPairs],
        ["rng"] =
        [
            AboutBlock, AboutNet, AboutConsole, OneQueue, "there is no device configuration", "the device type has no configuration that is known",
            "the device is given nothing to read",
        ],
        ["console"] = [AboutBlock, AboutNet, AboutEntropy],
        ["balloon"] = [AboutBlock, AboutNet, AboutEntropy, AboutConsole, "the device type has no configuration that is known"],
    };

    public static TheoryData<string, string> Usual => Each(["", "packed=on,in_order=on"]);

    public static TheoryData<string, string> Variants
    {
        get
        {
            TheoryData<string, string> data = Each(
                [
                    "indirect=off", "event_idx=off", "vectors=1", "vectors=0", "iommu=on", "notification_data=on", "ring_reset=off", "queue_size=2",
                    "queue_size=32768",
                ]);
            data.Add("blk", "num_queues=4");
            return data;
        }
    }

    [Fact]
    [Trait("Behaviour", "CON-5")]
    public void Every_kind_of_the_catalogue_that_can_be_checked_is()
    {
        DeviceKind[] checkable = [.. DeviceCatalogue.Default.Kinds.Where(kind => kind.Model != null)];
        checkable.Select(kind => kind.Model!.Name).Should().BeEquivalentTo(_byModel.Keys);
        DeviceCatalogue.Default.Kinds.Except(checkable).Select(kind => kind.Name).Should().Equal("device");
    }

    [Theory]
    [MemberData(nameof(Usual))]
    [Trait("Behaviour", "VTP-1")]
    public void Every_model_conforms(string model, string variant) => Conforms(model, variant);

    [Theory]
    [MemberData(nameof(Variants))]
    [Trait("Behaviour", "VTP-1")]
    [Trait("Category", "Long")]
    public void Every_model_conforms_in_every_variant(string model, string variant) => Conforms(model, variant);

    private static void Conforms(string model, string variant)
    {
        (string[] more, string[] less) = Describe(model, variant);
        using ModelFunction function = Models.Make(variant.Length == 0 ? model : $"{model},{variant}");

        // A machine that does much else besides takes its time for 65,536 requests one by one.
        ConformanceReport report = ConformanceRun.Execute(function.Target, limits: new RunLimits { Check = TimeSpan.FromMinutes(3) });

        report.Results.Where(r => r.Verdict == CheckVerdict.Fail).Select(r => $"{r.Check.Id}: expected {r.Expected}, saw {r.Seen}")
            .Should().BeEmpty();
        string[] advice = variant == "vectors=1" ? ["VTP-VECTOR-COUNT"] : [];
        report.Results.Where(r => r.Verdict == CheckVerdict.Advice).Select(r => r.Check.Id).Should().BeEquivalentTo(advice);
        IEnumerable<string> expected = _never.Concat(_byModel[model]).Concat(more).Except(less);
        report.Results.Where(r => r.Verdict == CheckVerdict.Skip).Select(r => r.Reason).Distinct().Should().BeEquivalentTo(expected);
    }

    private static TheoryData<string, string> Each(string[] variants)
    {
        var data = new TheoryData<string, string>();
        foreach (string model in _byModel.Keys)
        {
            foreach (string variant in variants)
            {
                data.Add(model, variant);
            }
        }

        return data;
    }

    private static (string[] More, string[] Less) Describe(string model, string variant)
    {
        string[] more = [NoNotificationData, NoPackedRing, NoInOrder];
        return variant switch
        {
            "" or "iommu=on" => (more, []),
            "packed=on,in_order=on" => (more, [NoPackedRing, NoInOrder]),
            "indirect=off" => ([.. more, NoIndirect], []),
            "event_idx=off" => ([.. more, NoEventIndex], []),
            "vectors=1" => ([.. more, OneVector], []),
            "vectors=0" => ([.. more, NoMessages], []),
            "notification_data=on" => (more, [NoNotificationData]),
            "ring_reset=off" => ([.. more, NoRingReset], []),
            "queue_size=2" => (
                model switch
                {
                    "net" or "console" or "balloon" => [.. more, OneRequest, SmallQueues, NoLongChains],
                    "blk" => [.. more, OneRequest, NoLongChains, NoThreeDescriptors],
                    _ => [.. more, OneRequest, NoLongChains],
                },
                []),
            "queue_size=32768" => ([.. more, LargestQueue], []),
            "num_queues=4" => (more, [OneQueue, NoQueues]),
            _ => throw new ArgumentException($"say here what {variant} changes"),
        };
    }
}
