using System.Text.Json.Serialization;

namespace Samples.Balloon;

/// <summary>State of a balloon, in pages of 4 KiB: how many were asked for, and how many the driver gave.</summary>
internal sealed record BalloonState(uint Target, uint Actual);

[JsonSourceGenerationOptions(UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(BalloonState))]
internal sealed partial class BalloonJson : JsonSerializerContext;
