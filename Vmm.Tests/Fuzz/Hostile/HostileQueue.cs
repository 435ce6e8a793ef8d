namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>What a lying device knows of one of its queues.</summary>
internal sealed class HostileQueue(ushort size)
{
    public ushort Size { get; set; } = size;

    public ushort Vector { get; set; } = 0xffff;

    public bool Enabled { get; set; }

    /// <summary>The driver has reason to think that the device writes the queue's memory.</summary>
    public bool Live { get; set; }

    /// <summary>The driver asked for a reset of the queue.</summary>
    public bool ResetAsked { get; set; }

    /// <summary>The driver was told that the reset is complete.</summary>
    public bool ResetTold { get; set; }

    public ulong Descriptors { get; set; }

    public ulong Driver { get; set; }

    public ulong Device { get; set; }

    /// <summary>Split: the next available entry. Packed: the next place in the ring.</summary>
    public ushort Next { get; set; }

    public bool Wrap { get; set; } = true;

    public ushort UsedIndex { get; set; }
}
