using System.Text.Json.Serialization;

namespace Vmm.Machine.State;

/// <summary>How the states of this assembly become JSON.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(MachineState))]
[JsonSerializable(typeof(SerialState))]
[JsonSerializable(typeof(ClockState))]
[JsonSerializable(typeof(PowerState))]
[JsonSerializable(typeof(ResetState))]
internal sealed partial class MachineStateJson : JsonSerializerContext;
