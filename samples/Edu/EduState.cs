using System.Text.Json.Serialization;

namespace Samples.Edu;

/// <summary>The registers of an <see cref="EduFunction"/> and its own memory; as JSON, its saved state.</summary>
internal sealed class EduState
{
    [JsonRequired] public uint Liveness;
    [JsonRequired] public uint Factorial;
    [JsonRequired] public uint Computing;
    [JsonRequired] public uint Raising;
    [JsonRequired] public uint Interrupts;
    [JsonRequired] public ulong Source;
    [JsonRequired] public ulong Destination;
    [JsonRequired] public ulong Count;
    [JsonRequired] public ulong Command;
    [JsonRequired] public byte[] Memory = new byte[EduFunction.MemoryLength];
}

[JsonSourceGenerationOptions(
    IncludeFields = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(EduState))]
internal sealed partial class EduJson : JsonSerializerContext;
