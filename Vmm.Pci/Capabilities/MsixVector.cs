using Vmm.DeviceModel.Interrupts;

namespace Vmm.Pci.Capabilities;

/// <summary>One entry of an MSI-X table with its pending bit (PCI 3.0, 6.8.2.6 to 6.8.2.10).</summary>
/// <remarks>Threading is described on <see cref="MessageVector"/>.</remarks>
public sealed class MsixVector : MessageVector
{
    private const int MaskField = 3;

    internal MsixVector(MsixCapability owner, int index)
        : base(owner, index, masked: true, keeps: true)
    {
    }

    internal uint ReadDword(int field)
    {
        MsiMessage message = Message;
        return field switch
        {
            0 => (uint)message.Address,
            1 => (uint)(message.Address >> 32),
            2 => message.Data,
            _ => IsMasked ? 1u : 0u,
        };
    }

    /// <summary>A guest's write of one dword of the entry, or of two that follow each other, with one transition at the end.</summary>
    internal void Write(int field, int count, ulong value)
    {
        Acquire();
        try
        {
            bool changed = Store(field, (uint)value);
            if (count == 2)
            {
                changed |= Store(field + 1, (uint)(value >> 32));
            }

            if (changed && field + count > MaskField)
            {
                Refresh(messageChanged: true);
            }
            else if (changed)
            {
                FollowMessage();
            }
        }
        finally
        {
            Release();
        }
    }

    private protected override void ResetRegisters()
    {
        StoreMessage(0, 0);
        StoreMask(true);
    }

    private bool Store(int field, uint value)
    {
        MsiMessage message = Message;
        return field switch
        {
            // Bits 1:0 of the address are always zero (PCI 3.0, 6.8.2.7).
            0 => StoreMessage((message.Address & 0xffffffff00000000) | (value & ~3u), message.Data),
            1 => StoreMessage((uint)message.Address | ((ulong)value << 32), message.Data),
            2 => StoreMessage(message.Address, value),

            // Bits 31:1 of Vector Control are reserved and read zero.
            _ => StoreMask((value & 1) != 0),
        };
    }
}
