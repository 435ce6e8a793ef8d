using System;
using Vmm.Pci.Access;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Vfio.Passthrough;

/// <summary>The vendor-specific capability by which NVIDIA's driver learns which GPUs reach each other directly (GPUDirect P2P approval).</summary>
internal sealed class CliqueCapability(int clique) : VendorSpecificCapability([(byte)'P', (byte)'2', (byte)'P', (byte)(clique << 3), 0])
{
    public override string Description => "the clique of a GPU, added";

    public const int RequiredLength = 8;

    /// <summary>A place that no capability of the device uses, or -1. The driver's documentation names 0xc8 and 0xd4.</summary>
    /// <param name="layout">What the device is.</param>
    public static int FindRoom(DeviceLayout layout)
    {
        if (layout.Capabilities.Count == 0)
        {
            return -1;
        }

        if (IsFree(layout, 0xc8))
        {
            return 0xc8;
        }

        return IsFree(layout, 0xd4) ? 0xd4 : -1;
    }

    private static bool IsFree(DeviceLayout layout, int offset)
    {
        // How long a foreign capability is, nobody can tell; its registers may read zero. The known ones are asked for their length, for
        // the others zeroes after a header are as good as it gets.
        if (layout.Image.Span.Slice(offset, RequiredLength).IndexOfAnyExcept((byte)0) >= 0)
        {
            return false;
        }

        foreach (DeviceCapability capability in layout.Capabilities)
        {
            if (capability.Offset < offset + RequiredLength && offset < capability.Offset + LengthOf(capability, layout))
            {
                return false;
            }
        }

        foreach (DeviceCapability capability in layout.Hidden)
        {
            if (capability.Offset < PciConfigurationSpace.ConventionalLength
                && capability.End > offset
                && capability.Offset < offset + RequiredLength)
            {
                return false;
            }
        }

        return true;
    }

    private static int LengthOf(DeviceCapability capability, DeviceLayout layout)
    {
        int known = capability == layout.Msix?.Capability ? 12
            : capability == layout.Msi?.Capability ? 24
            : capability == layout.PowerManagement ? 8
            : capability == layout.Express || capability.Offset == layout.Express?.Offset ? layout.Express!.Value.Room
            : capability.Id == 9 ? layout.Image.Span[capability.Offset + 2]
            : 4;
        return Math.Min(known, capability.Room);
    }
}
