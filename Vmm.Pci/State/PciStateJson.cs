using System.Text.Json.Serialization;

namespace Vmm.Pci.State;

/// <summary>How the states of this assembly become JSON.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(FunctionState))]
[JsonSerializable(typeof(SlotState))]
[JsonSerializable(typeof(HostBridgeState))]
internal sealed partial class PciStateJson : JsonSerializerContext;
