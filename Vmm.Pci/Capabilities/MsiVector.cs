using Vmm.DeviceModel.Interrupts;

namespace Vmm.Pci.Capabilities;

/// <summary>One of the messages of an MSI capability (PCI 3.0, 6.8.1).</summary>
/// <remarks>
/// Message and mask lie in configuration space and are read anew whenever the guest wrote there, so of two writes that race the last one counts.
/// Threading is described on <see cref="MessageVector"/>.
/// </remarks>
public sealed class MsiVector : MessageVector
{
    private readonly MsiCapability _owner;

    internal MsiVector(MsiCapability owner, int index)
        : base(owner, index, masked: false, keeps: false)
    {
        _owner = owner;
    }

    private protected override bool Reload()
    {
        StoreMask(_owner.IsVectorMasked(Index));
        MsiMessage message = _owner.MessageOf(Index);
        return StoreMessage(message.Address, message.Data);
    }

    private protected override void ResetRegisters() => Reload();
}
