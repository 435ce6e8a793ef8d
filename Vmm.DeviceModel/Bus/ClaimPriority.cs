namespace Vmm.DeviceModel.Bus;

/// <summary>The usual priorities of claims, from weak to strong.</summary>
public static class ClaimPriority
{
    /// <summary>What decodes when nothing else does, for example the filler of a BAR.</summary>
    public const int Background = -100;

    /// <summary>BARs: wherever the guest put them.</summary>
    public const int Bar = 0;

    /// <summary>Fixed platform devices (ECAM, serial port): a BAR programmed over them does not hide them.</summary>
    public const int Platform = 100;

    /// <summary>Guest RAM: a BAR programmed over it does not hide it.</summary>
    public const int Ram = 200;
}
