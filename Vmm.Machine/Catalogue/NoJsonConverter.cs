using System;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Vmm.Machine.Catalogue;

/// <summary>Says that something of the embedder's has no JSON form, instead of leaving it out.</summary>
internal sealed class NoJsonConverter<T> : JsonConverter<T>
    where T : class
{
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        throw new JsonException($"{typeof(T).Name} has no JSON form");
    }

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
    {
        throw new NotSupportedException($"{typeof(T).Name} has no JSON form");
    }
}
