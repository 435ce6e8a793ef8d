namespace Vmm.Tests.Fuzz;

/// <summary>Where the driver put a queue and how far it is.</summary>
internal sealed class QueueModel(int function, int index, ushort maximumSize)
{
    /// <summary>Room for the areas, the tables and the buffers of one queue.</summary>
    private const ulong Room = 0x8000;

    public ushort MaximumSize { get; } = maximumSize;

    /// <summary>Where this queue's part of RAM begins.</summary>
    public ulong Home { get; } = FuzzRam.Layout[0].Address + 0x1000 + (Room * (ulong)((function * 4) + index));

    public int Index { get; } = index;

    public ulong Tables => Home + 0x3000;

    public ulong Buffers => Home + 0x4000;

    public ushort Size { get; set; }

    public ulong Descriptors { get; set; }

    public ulong Driver { get; set; }

    public ulong Device { get; set; }

    public bool IsPacked { get; set; }

    public bool IsEnabled { get; set; }

    /// <summary>Next available index (split) or slot (packed).</summary>
    public ushort Available { get; set; }

    /// <summary>Next descriptor to be used for a chain of a split ring.</summary>
    public ushort NextDescriptor { get; set; }

    /// <summary>The driver's wrap counter of a packed ring.</summary>
    public bool Wrap { get; set; } = true;

    /// <summary>Chains made available.</summary>
    public int Chains { get; set; }
}
