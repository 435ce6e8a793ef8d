namespace Vmm.DeviceModel.Bus;

/// <summary>Stands in for a handler that has thrown: all-ones, writes dropped (BUS-8).</summary>
internal sealed class FaultedHandler : IRegionHandler
{
    public static readonly FaultedHandler Instance = new();

    public ulong Read(ulong offset, int width) => ulong.MaxValue;

    public void Write(ulong offset, int width, ulong value)
    {
    }
}
