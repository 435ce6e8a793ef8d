using System.Threading;

namespace Vmm.Benchmarks.Bus;

/// <summary>The same body behind a lock of the device's own.</summary>
internal sealed class LockedBenchmarkDevice : BenchmarkDevice
{
    private readonly Lock _lock = new();

    public override ulong Read(ulong offset, int width)
    {
        lock (_lock)
        {
            return base.Read(offset, width);
        }
    }

    public override void Write(ulong offset, int width, ulong value)
    {
        lock (_lock)
        {
            base.Write(offset, width, value);
        }
    }
}
