using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance;
using Vmm.Conformance.Models;
using Vmm.Virtio.Transport;

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

    private static readonly Dictionary<ModelKind, string[]> _byModel = new()
    {
        [ModelKind.Block] = [AboutNet, AboutEntropy, AboutConsole, OneQueue, NoReadOnly, NoQueues],
        [ModelKind.Net] = [AboutBlock, AboutEntropy, AboutConsole, NoMtu, NoPairs],
        [ModelKind.Entropy] =
        [
            AboutBlock, AboutNet, AboutConsole, OneQueue, "there is no device configuration", "the device type has no configuration that is known",
            "the device is given nothing to read",
        ],
        [ModelKind.Console] = [AboutBlock, AboutNet, AboutEntropy],
    };

    public static TheoryData<ModelKind, string> Usual => Each(["default", "packed"]);

    public static TheoryData<ModelKind, string> Variants
    {
        get
        {
            TheoryData<ModelKind, string> data = Each(
                ["no indirect", "no event index", "one vector", "no vector", "iommu", "notification data", "no ring reset", "small queues", "large queues"]);
            data.Add(ModelKind.Block, "four queues");
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Usual))]
    [Trait("Behaviour", "VTP-1")]
    public void Every_model_conforms(ModelKind model, string variant) => Conforms(model, variant);

    [Theory]
    [MemberData(nameof(Variants))]
    [Trait("Behaviour", "VTP-1")]
    [Trait("Category", "Long")]
    public void Every_model_conforms_in_every_variant(ModelKind model, string variant) => Conforms(model, variant);

    private static void Conforms(ModelKind model, string variant)
    {
        (ModelOptions options, string[] more, string[] less) = Describe(model, variant);
        using var function = new ModelFunction(options);

        ConformanceReport report = ConformanceRun.Execute(function.Target);

        report.Results.Where(r => r.Verdict == CheckVerdict.Fail).Select(r => $"{r.Check.Id}: expected {r.Expected}, saw {r.Seen}")
            .Should().BeEmpty();
        string[] advice = variant == "one vector" ? ["VTP-VECTOR-COUNT"] : [];
        report.Results.Where(r => r.Verdict == CheckVerdict.Advice).Select(r => r.Check.Id).Should().BeEquivalentTo(advice);
        IEnumerable<string> expected = _never.Concat(_byModel[model]).Concat(more).Except(less);
        report.Results.Where(r => r.Verdict == CheckVerdict.Skip).Select(r => r.Reason).Distinct().Should().BeEquivalentTo(expected);
    }

    private static TheoryData<ModelKind, string> Each(string[] variants)
    {
        var data = new TheoryData<ModelKind, string>();
        foreach (ModelKind model in _byModel.Keys)
        {
            foreach (string variant in variants)
            {
                data.Add(model, variant);
            }
        }

        return data;
    }

    private static (ModelOptions Options, string[] More, string[] Less) Describe(ModelKind model, string variant)
    {
        var options = new ModelOptions { Model = model };
        string[] more = [NoNotificationData, NoPackedRing, NoInOrder];
        return variant switch
        {
            "default" => (options, more, []),
            "packed" => (options with { Function = new VirtioPciOptions { PackedRing = true, InOrder = true } }, more, [NoPackedRing, NoInOrder]),
            "no indirect" => (options with { Function = new VirtioPciOptions { IndirectDescriptors = false } }, [.. more, NoIndirect], []),
            "no event index" => (options with { Function = new VirtioPciOptions { EventIndex = false } }, [.. more, NoEventIndex], []),
            "one vector" => (options with { Function = new VirtioPciOptions { Vectors = 1 } }, [.. more, OneVector], []),
            "no vector" => (options with { Function = new VirtioPciOptions { Vectors = 0 } }, [.. more, NoMessages], []),
            "iommu" => (options with { Function = new VirtioPciOptions { AccessPlatform = true } }, more, []),
            "notification data" => (options with { Function = new VirtioPciOptions { NotificationData = true } }, more, [NoNotificationData]),
            "no ring reset" => (options with { Function = new VirtioPciOptions { RingReset = false } }, [.. more, NoRingReset], []),
            "small queues" => (
                options with { QueueSize = 2 },
                model switch
                {
                    ModelKind.Net or ModelKind.Console => [.. more, OneRequest, SmallQueues, NoLongChains],
                    ModelKind.Block => [.. more, OneRequest, NoLongChains, NoThreeDescriptors],
                    _ => [.. more, OneRequest, NoLongChains],
                },
                []),
            "large queues" => (options with { QueueSize = 32768 }, [.. more, LargestQueue], []),
            _ => (options with { QueueCount = 4 }, more, [OneQueue, NoQueues]),
        };
    }
}
