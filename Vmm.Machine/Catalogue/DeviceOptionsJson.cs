using System.Text.Json.Serialization;

namespace Vmm.Machine.Catalogue;

/// <summary>
/// The form of options in JSON: snake_case, absent members left out, unknown ones refused. The members of each kind are known to the kind.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowOutOfOrderMetadataProperties = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(DeviceOptions))]
internal sealed partial class DeviceOptionsJson : JsonSerializerContext;
