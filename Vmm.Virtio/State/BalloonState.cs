using System.Text.Json.Serialization;

namespace Vmm.Virtio.State;

/// <summary>The state of a balloon (version 1). Which pages are in it, the driver alone knows.</summary>
/// <param name="Target">Pages of 4 KiB that the driver is asked for.</param>
/// <param name="Actual">Pages that it says it gave.</param>
public sealed record BalloonState(uint Target, uint Actual)
{
    internal const string Kind = "virtio.balloon";

    internal const int Version = 1;
}

/// <summary>How the state becomes JSON.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(BalloonState))]
internal sealed partial class BalloonStateJson : JsonSerializerContext;
