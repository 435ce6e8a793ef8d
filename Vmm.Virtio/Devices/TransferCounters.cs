using System.Runtime.InteropServices;
using System.Threading;

namespace Vmm.Virtio.Devices;

/// <summary>Bytes and operations of a device each way, counted by its workers without a locked instruction: each has a cell that no other writes.</summary>
/// <param name="workers">Cells.</param>
internal sealed class TransferCounters(int workers)
{
    private readonly Cell[] _cells = new Cell[workers];

    /// <summary>Counts what went to the driver. On the worker alone that has the cell.</summary>
    public void AddIn(int worker, long bytes, int operations)
    {
        ref Cell cell = ref _cells[worker];
        Volatile.Write(ref cell.InBytes, cell.InBytes + bytes);
        Volatile.Write(ref cell.InOperations, cell.InOperations + operations);
    }

    /// <summary>Counts what came from the driver. On the worker alone that has the cell.</summary>
    public void AddOut(int worker, long bytes, int operations)
    {
        ref Cell cell = ref _cells[worker];
        Volatile.Write(ref cell.OutBytes, cell.OutBytes + bytes);
        Volatile.Write(ref cell.OutOperations, cell.OutOperations + operations);
    }

    /// <summary>All of it together. From any thread.</summary>
    public (long InBytes, long InOperations, long OutBytes, long OutOperations) Sum()
    {
        (long inBytes, long inOperations, long outBytes, long outOperations) = (0, 0, 0, 0);
        for (int i = 0; i < _cells.Length; i++)
        {
            ref Cell cell = ref _cells[i];
            inBytes += Volatile.Read(ref cell.InBytes);
            inOperations += Volatile.Read(ref cell.InOperations);
            outBytes += Volatile.Read(ref cell.OutBytes);
            outOperations += Volatile.Read(ref cell.OutOperations);
        }

        return (inBytes, inOperations, outBytes, outOperations);
    }

    // So large that no two share a line of a processor's cache, or the two lines that it fetches together.
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Cell
    {
        [FieldOffset(0)]
        public long InBytes;

        [FieldOffset(8)]
        public long InOperations;

        [FieldOffset(16)]
        public long OutBytes;

        [FieldOffset(24)]
        public long OutOperations;
    }
}
