namespace Vmm.DeviceModel.Registers;

/// <summary>What the bytes of a block read as where no register answers. Writes there are always dropped.</summary>
public enum RegisterGap
{
    /// <summary>Zero (read as zero, write ignored).</summary>
    Zero,

    /// <summary>All-ones, as an open bus.</summary>
    Ones,
}
