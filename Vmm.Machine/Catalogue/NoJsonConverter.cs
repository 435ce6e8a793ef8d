using System;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Vmm.Machine.Catalogue;

/// <summary>Says that something of the embedder's has no JSON form, instead of leaving it out.</summary>
internal sealed class NoJsonConverter<T> : JsonConverter<T>
    where T : class
{
    // Without the number of parameters that the runtime adds to a generic type's name.
    private static readonly string TypeName = typeof(T).Name.Split('`')[0];

    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        throw new JsonException($"{TypeName} has no JSON form");
    }

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
    {
        throw new NotSupportedException($"{TypeName} has no JSON form");
    }
}
