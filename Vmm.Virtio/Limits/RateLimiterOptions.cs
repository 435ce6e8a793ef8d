using System.Text.Json.Serialization;

namespace Vmm.Virtio.Limits;

/// <summary>How much a device may do in a time. Where both buckets are there, a request waits for both.</summary>
/// <param name="Bandwidth">Bytes, or null for no limit.</param>
/// <param name="Operations">Requests or packets, or null for no limit.</param>
public sealed record RateLimiterOptions(
    TokenBucketOptions? Bandwidth = null,
    [property: JsonPropertyName("ops")] TokenBucketOptions? Operations = null)
{
    /// <summary>Checks what the types cannot.</summary>
    internal void Validate()
    {
        Bandwidth?.Validate();
        Operations?.Validate();
    }
}
