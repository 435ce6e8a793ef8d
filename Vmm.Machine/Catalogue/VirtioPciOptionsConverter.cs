using System;
using System.Text.Json;
using System.Text.Json.Serialization;
using Vmm.Virtio.Transport;

namespace Vmm.Machine.Catalogue;

/// <summary>How a function carries its device, in JSON: only what differs from the defaults; an absent member has its default.</summary>
/// <remarks>Public for the JSON of an embedder's kinds, which is generated in their assembly.</remarks>
public sealed class VirtioPciOptionsConverter : JsonConverter<VirtioPciOptions>
{
    private const string Vectors = "vectors";

    private static readonly VirtioPciOptions Defaults = new();

    private static readonly (string Name, Func<VirtioPciOptions, bool> Get, Func<VirtioPciOptions, bool, VirtioPciOptions> Set)[] Switches =
    [
        ("packed_ring", static o => o.PackedRing, static (o, value) => o with { PackedRing = value }),
        ("in_order", static o => o.InOrder, static (o, value) => o with { InOrder = value }),
        ("event_index", static o => o.EventIndex, static (o, value) => o with { EventIndex = value }),
        ("indirect_descriptors", static o => o.IndirectDescriptors, static (o, value) => o with { IndirectDescriptors = value }),
        ("access_platform", static o => o.AccessPlatform, static (o, value) => o with { AccessPlatform = value }),
        ("use_64bit_bar", static o => o.Use64BitBar, static (o, value) => o with { Use64BitBar = value }),
        ("ring_reset", static o => o.RingReset, static (o, value) => o with { RingReset = value }),
        ("notification_data", static o => o.NotificationData, static (o, value) => o with { NotificationData = value }),
    ];

    /// <inheritdoc/>
    public override VirtioPciOptions Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("the transport is an object");
        }

        VirtioPciOptions read = Defaults;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            read = name == Vectors ? read with { Vectors = ReadNumber(ref reader) } : ReadSwitch(ref reader, name, read);
        }

        return read;
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, VirtioPciOptions value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(value);
        writer.WriteStartObject();
        foreach ((string name, Func<VirtioPciOptions, bool> get, _) in Switches)
        {
            if (get(value) != get(Defaults))
            {
                writer.WriteBoolean(name, get(value));
            }
        }

        if (value.Vectors is { } vectors)
        {
            writer.WriteNumber(Vectors, vectors);
        }

        writer.WriteEndObject();
    }

    private static int ReadNumber(ref Utf8JsonReader reader)
    {
        return reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out int number) ? number : throw new JsonException("vectors: a number");
    }

    private static VirtioPciOptions ReadSwitch(ref Utf8JsonReader reader, string name, VirtioPciOptions read)
    {
        int index = Array.FindIndex(Switches, entry => entry.Name == name);
        if (index < 0)
        {
            throw new JsonException($"the transport has no {name}");
        }

        return reader.TokenType is JsonTokenType.True or JsonTokenType.False
            ? Switches[index].Set(read, reader.GetBoolean())
            : throw new JsonException($"{name}: neither true nor false");
    }
}
