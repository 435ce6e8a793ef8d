using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using Vmm.Conformance.Models;

namespace Vmm.Cli;

/// <summary>The value of --model: a model and its words, the same as of <c>vmm run</c>.</summary>
internal static class ModelWords
{
    private const string Option = "--model";
    private const string All = "all";
    private const int MaximumVectors = 2048;
    private const int MaximumQueues = 64;
    private const int MaximumQueueSize = 32768;

    private static readonly ModelKind[] _models = [ModelKind.Block, ModelKind.Net, ModelKind.Entropy, ModelKind.Console];

    /// <summary>Reads one --model.</summary>
    /// <param name="text">Its value.</param>
    /// <returns>The devices to make.</returns>
    /// <exception cref="UsageException">The value is wrong.</exception>
    public static IReadOnlyList<ModelOptions> Read(string text)
    {
        int comma = text.IndexOf(',', StringComparison.Ordinal);
        string name = comma < 0 ? text : text[..comma];
        ModelKind[] models = name == All ? _models : [.. _models.Where(model => ModelFunction.NameOf(model) == name)];
        if (models.Length == 0)
        {
            throw new UsageException(Option, text, $"want {string.Join(", ", _models.Select(ModelFunction.NameOf))} or {All}, then words after a comma");
        }

        return comma < 0 ? [.. models.Select(model => new ModelOptions { Model = model })] : ReadWords(models, text[(comma + 1)..]);
    }

    private static List<ModelOptions> ReadWords(ModelKind[] models, string text)
    {
        OptionWords words = OptionWords.Parse(
            Option, text, "packed", "event_idx", "indirect", "ring_reset", "notification_data", "vectors", "iommu", "num_queues", "queue_size");
        int? queues = words.GetNumber("num_queues", 1, MaximumQueues);
        if (queues is not null && models is not [ModelKind.Block])
        {
            throw words.Bad("num_queues", "only block devices have a number of queues");
        }

        int size = words.GetNumber("queue_size", 2, MaximumQueueSize) ?? 256;
        if (!BitOperations.IsPow2(size))
        {
            throw words.Bad("queue_size", "not a power of two");
        }

        return [.. models.Select(model => new ModelOptions
        {
            Model = model,
            Packed = words.GetSwitch("packed"),
            EventIndex = IsOn(words, "event_idx"),
            Indirect = IsOn(words, "indirect"),
            RingReset = IsOn(words, "ring_reset"),
            NotificationData = words.GetSwitch("notification_data"),
            Vectors = words.GetNumber("vectors", 0, MaximumVectors),
            Iommu = words.GetSwitch("iommu"),
            QueueCount = queues ?? 1,
            QueueSize = (ushort)size,
        })];
    }

    private static bool IsOn(OptionWords words, string key) => words.Get(key) is null || words.GetSwitch(key);
}
