namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>A test that needs a huge page of 2 MiB (<see cref="HugePage"/>); skipped with the reason where there can be none.</summary>
public sealed class HugePagesFactAttribute : FactAttribute
{
    public HugePagesFactAttribute() => Skip = HugePage.WhyNot;
}
