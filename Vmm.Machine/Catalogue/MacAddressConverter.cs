using System;
using System.Text.Json;
using System.Text.Json.Serialization;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Catalogue;

/// <summary>An Ethernet address in JSON: <c>"52:54:00:12:34:56"</c>.</summary>
internal sealed class MacAddressConverter : JsonConverter<MacAddress>
{
    public override MacAddress Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        return reader.TokenType == JsonTokenType.String && MacAddress.TryParse(reader.GetString(), out MacAddress address)
            ? address
            : throw new JsonException("not an Ethernet address: six pairs of hexadecimal digits with colons");
    }

    public override void Write(Utf8JsonWriter writer, MacAddress value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
