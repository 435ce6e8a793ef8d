using System.Text.Json.Serialization;

namespace Vmm.DeviceModel.State;

/// <summary>How saved trees become JSON.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    MaxDepth = Vmm.DeviceModel.State.ComponentState.MaximumDepth)]
[JsonSerializable(typeof(ComponentState))]
internal sealed partial class StateJson : JsonSerializerContext;
