using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance.Models;
using Vmm.Machine.Catalogue;
using Vmm.Virtio.Transport;

namespace Vmm.Cli;

/// <summary>The value of --model: a model and its words, the same as of <c>vmm run</c> and two more.</summary>
internal static class ModelOptionParser
{
    /// <summary>How the value looks, for help texts.</summary>
    public const string Form = "blk|net|rng|console|all,...";

    private const string Option = "--model";
    private const string All = "all";
    private const int MaximumQueues = 64;
    private const int DefaultQueueSize = 256;

    private static readonly ModelKind[] _models = [ModelKind.Block, ModelKind.Net, ModelKind.Entropy, ModelKind.Console];

    /// <summary>Reads one --model.</summary>
    /// <param name="text">Its value.</param>
    /// <returns>The devices to make.</returns>
    /// <exception cref="UsageException">The value is wrong.</exception>
    public static IReadOnlyList<ModelOptions> Read(string text)
    {
        OptionValue words = OptionValue.ParseNamed(
            Option, text, out string? name, ["num_queues", "ring_reset", "notification_data", .. VirtioWords.Known]);
        ModelKind[] models = name == All ? _models : [.. _models.Where(model => ModelFunction.NameOf(model) == name)];
        if (models.Length == 0)
        {
            throw new UsageException(
                Option, text, $"want {string.Join(", ", _models.Select(ModelFunction.NameOf))} or {All}, then words after a comma");
        }

        int? queues = words.GetNumber("num_queues", 1, MaximumQueues);
        if (queues is not null && models is not [ModelKind.Block])
        {
            throw words.Bad("num_queues", "only block devices have a number of queues");
        }

        VirtioPciOptions function = VirtioWords.Read(words) with
        {
            RingReset = words.GetSwitch("ring_reset", true),
            NotificationData = words.GetSwitch("notification_data"),
        };
        ushort size = VirtioWords.ReadQueueSize(words) ?? DefaultQueueSize;
        return [.. models.Select(model => new ModelOptions
        {
            Model = model,
            Name = words.Get("id") ?? ModelFunction.NameOf(model) + text[name!.Length..],
            Function = function,
            QueueCount = queues ?? 1,
            QueueSize = size,
        })];
    }
}
