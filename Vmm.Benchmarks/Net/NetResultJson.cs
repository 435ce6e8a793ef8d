using System.Collections.Generic;
using System.Text.Json.Serialization;

namespace Vmm.Benchmarks.Net;

/// <summary>How results are written.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(List<NetResult>))]
internal sealed partial class NetResultJson : JsonSerializerContext;
