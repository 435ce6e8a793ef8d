using Vmm.DeviceModel.Bus;

namespace Vmm.Benchmarks.Bus;

/// <summary>The device body of all bus cases: 16 registers of 32 bits.</summary>
internal class BenchmarkDevice : IRegionHandler
{
    private readonly uint[] _registers = new uint[16];

    public virtual ulong Read(ulong offset, int width)
    {
        return width == 4 ? _registers[(int)(offset >> 2) & 15] : 0;
    }

    public virtual void Write(ulong offset, int width, ulong value)
    {
        if (width == 4)
        {
            _registers[(int)(offset >> 2) & 15] = (uint)value;
        }
    }
}
