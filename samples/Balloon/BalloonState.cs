using System.Text.Json.Serialization;

namespace Samples.Balloon;

/// <summary>What of a balloon outlives a driver's look at it: what was asked for, and what the driver gave. In pages.</summary>
internal sealed record BalloonState(uint Target, uint Actual);

[JsonSourceGenerationOptions(UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(BalloonState))]
internal sealed partial class BalloonJson : JsonSerializerContext;
