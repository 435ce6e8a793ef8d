using System;
using Vmm.Virtio.Limits;

namespace Vmm.Machine.Catalogue;

/// <summary>The words that limit what a device may do in a time: a bucket of bytes, and one of operations.</summary>
internal static class RateLimiterWords
{
    /// <summary>The meaning of the words, for the help text of a kind.</summary>
    public const string Help =
        "bw_size=BYTES and bw_refill_time=MS, ops_size=N and ops_refill_time=MS let so much through in the time, with bw_one_time_burst=BYTES and "
        + "ops_one_time_burst=N once on top";

    private const string Bandwidth = "bw";
    private const string Operations = "ops";

    private static readonly string[] All = [.. WordsOf(Bandwidth), .. WordsOf(Operations)];

    /// <summary>The words.</summary>
    public static ReadOnlySpan<string> Known => All;

    /// <summary>Reads them.</summary>
    /// <param name="words">A device's words.</param>
    /// <returns>Null where there is no limit.</returns>
    /// <exception cref="UsageException">A value is wrong, or one is missing.</exception>
    public static RateLimiterOptions? Read(OptionValue words)
    {
        TokenBucketOptions? bandwidth = ReadBucket(words, Bandwidth);
        TokenBucketOptions? operations = ReadBucket(words, Operations);
        return bandwidth is null && operations is null ? null : new RateLimiterOptions(bandwidth, operations);
    }

    private static string[] WordsOf(string bucket) => [$"{bucket}_size", $"{bucket}_one_time_burst", $"{bucket}_refill_time"];

    private static TokenBucketOptions? ReadBucket(OptionValue words, string bucket)
    {
        string[] names = WordsOf(bucket);
        (string size, string burst, string refill) = (names[0], names[1], names[2]);
        long? tokens = ReadTokens(words, bucket, size);
        long? extra = ReadTokens(words, bucket, burst);
        int? time = words.GetNumber(refill, 0, int.MaxValue);
        if (tokens is null && (extra is not null || time is not null))
        {
            throw words.Bad(extra is not null ? burst : refill, $"without {size}=");
        }

        if (tokens is null or 0)
        {
            return null;
        }

        return time is null or 0
            ? throw words.Bad(size, $"needs {refill}= of 1 or more, the milliseconds in which so much comes back")
            : new TokenBucketOptions(tokens.Value, time.Value, extra);
    }

    private static long? ReadTokens(OptionValue words, string bucket, string key)
    {
        if (bucket == Operations)
        {
            return words.GetNumber(key, 0, int.MaxValue);
        }

        ulong? bytes = words.GetSize(key);
        return bytes > long.MaxValue ? throw words.Bad(key, "more than 2^63 bytes") : (long?)bytes;
    }
}
