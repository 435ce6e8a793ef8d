using System;

namespace Vmm.Virtio.Limits;

/// <summary>A bucket of tokens, which are bytes or operations: what a device does takes some out, and time puts them back.</summary>
/// <remarks>
/// It is full at first. While there is anything in it a request goes through, and may take more than there is, so that one which is larger than the
/// bucket comes to its turn as well; what is owed is paid back before the next.
/// </remarks>
/// <param name="Size">Tokens that it holds, at least 0; 0 for no limit.</param>
/// <param name="RefillTime">Milliseconds in which as many come back, 0 to 2147483647; 0 for no limit.</param>
/// <param name="OneTimeBurst">Tokens beside those, taken before them and not put back; at least 0, and none if null.</param>
public sealed record TokenBucketOptions(long Size, long RefillTime, long? OneTimeBurst = null)
{
    /// <summary>Checks what the types cannot.</summary>
    internal void Validate()
    {
        if (Size < 0 || OneTimeBurst < 0)
        {
            throw new ArgumentException($"a bucket holds no fewer than 0 tokens; not {(Size < 0 ? Size : OneTimeBurst)}");
        }

        if (RefillTime is < 0 or > int.MaxValue)
        {
            throw new ArgumentException($"a bucket is refilled in 0 to {int.MaxValue} milliseconds, not {RefillTime}");
        }
    }
}
