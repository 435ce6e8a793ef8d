using System.Text.Json.Serialization;

namespace Vmm.Virtio.State;

/// <summary>How the states of this assembly become JSON.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(TransportState))]
[JsonSerializable(typeof(BlockState))]
[JsonSerializable(typeof(NetState))]
[JsonSerializable(typeof(ConsoleState))]
[JsonSerializable(typeof(IsrState))]
internal sealed partial class VirtioStateJson : JsonSerializerContext;
