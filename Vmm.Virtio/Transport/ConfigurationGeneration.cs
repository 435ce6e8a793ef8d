using System.Threading;

namespace Vmm.Virtio.Transport;

/// <summary>config_generation: moves when the driver looks after device configuration has changed, and not otherwise (VTP-10).</summary>
/// <remarks>
/// Counting every change would let 256 of them go unseen in an 8-bit register, so a look compares the device's change count with the one of
/// the last look (virtio 1.2, 4.1.4.3.1). The generation itself is a look too: with the count odd while a change is being made, two equal
/// generations around any reads mean that no change was made or begun between them. Lock-free: count and generation are one word.
/// </remarks>
internal sealed class ConfigurationGeneration
{
    private const int GenerationBits = 8;

    private long _seen;

    /// <summary>The register after a look.</summary>
    /// <param name="version">The device's change count, odd while a change is in progress.</param>
    public byte OnDriverRead(uint version)
    {
        while (true)
        {
            long seen = Volatile.Read(ref _seen);
            if ((uint)(seen >> GenerationBits) == version && (version & 1) == 0)
            {
                return (byte)seen;
            }

            long next = ((long)version << GenerationBits) | (byte)(seen + 1);
            if (Interlocked.CompareExchange(ref _seen, next, seen) == seen)
            {
                return (byte)next;
            }
        }
    }

    /// <summary>The register as the driver saw it last.</summary>
    public byte Seen => (byte)Volatile.Read(ref _seen);

    /// <summary>Whether the change count is another one than at the driver's last look.</summary>
    public bool IsUnseen(uint version) => (uint)(Volatile.Read(ref _seen) >> GenerationBits) != version;

    /// <summary>Takes a saved register over.</summary>
    /// <param name="generation">The register as the driver saw it last.</param>
    /// <param name="version">The change count that it saw with it.</param>
    public void Restore(byte generation, uint version) => Volatile.Write(ref _seen, ((long)version << GenerationBits) | generation);

    /// <summary>Power-on: generation 0, nothing unseen.</summary>
    public void PowerOn(uint version)
    {
        Volatile.Write(ref _seen, (long)version << GenerationBits);
    }
}
