using System;
using Vmm.Pci.Bars;
using Vmm.Pci.ConfigSpace;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>
/// The window into the BARs from configuration space (virtio 1.2, 4.1.4.9): the driver sets bar, offset and length, and an access to
/// <c>pci_cfg_data</c> is an access there, also while the BAR does not decode.
/// </summary>
/// <remarks>Every access to <c>pci_cfg_data</c> runs one access of <c>length</c> bytes, whichever of its bytes it touches (4.1.4.9.1).</remarks>
internal sealed class ConfigurationWindowCapability : VirtioStructureCapability
{
    private readonly VirtioTransport _transport;

    public ConfigurationWindowCapability(VirtioTransport transport)
        : base(VirtioPciCapabilityType.PciConfigurationAccess, WritableBits())
    {
        _transport = transport;
    }

    protected override bool HandlesReads => true;

    protected override uint OnRead(int offset, ByteLanes lanes, uint value)
    {
        if (offset != ExtraOffset)
        {
            return value;
        }

        if (!TryFindTarget(out int bar, out uint target, out int length))
        {
            _transport.Mistake(GuestMistake.WindowRefused, target);
            return uint.MaxValue;
        }

        uint mask = MaskOf(length);
        uint data = (value & ~mask) | ((uint)Function!.ReadBar(bar, target, length) & mask);
        WriteBytes(ExtraOffset, 4, data);
        return data;
    }

    protected override void OnWritten(int offset, in ConfigurationWrite write)
    {
        if (offset != ExtraOffset)
        {
            return;
        }

        if (TryFindTarget(out int bar, out uint target, out int length))
        {
            Function!.WriteBar(bar, target, length, write.New & MaskOf(length));
        }
        else
        {
            _transport.Mistake(GuestMistake.WindowRefused, target);
        }
    }

    private static uint MaskOf(int length) => uint.MaxValue >> (32 - (8 * length));

    private static byte[] WritableBits()
    {
        byte[] bits = new byte[VirtioPciIds.PciConfigurationAccessCapabilityLength - BodyOffset];
        bits[BarOffset - BodyOffset] = 0xff;
        bits.AsSpan(OffsetOffset - BodyOffset).Fill(0xff);
        return bits;
    }

    /// <summary>Checks what the driver wrote before anything is accessed (VTP-15).</summary>
    private bool TryFindTarget(out int bar, out uint offset, out int length)
    {
        bar = (int)ReadBytes(BarOffset, 1);
        offset = ReadBytes(OffsetOffset, 4);
        uint wanted = ReadBytes(LengthOffset, 4);
        length = (int)Math.Min(wanted, 8);
        if (wanted is not (1 or 2 or 4) || offset % wanted != 0 || bar >= PciBar.RomIndex)
        {
            return false;
        }

        for (int i = 0; i < Function!.Bars.Count; i++)
        {
            PciBar candidate = Function.Bars[i];
            if (candidate.Index == bar)
            {
                return candidate.FindRegion(offset, wanted) is not null;
            }
        }

        return false;
    }
}
