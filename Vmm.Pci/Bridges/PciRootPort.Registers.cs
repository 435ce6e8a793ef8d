using System.Threading;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;

namespace Vmm.Pci.Bridges;

/// <content>Slot and link as the guest sees them: the registers, what their writes set off, and the interrupt of their events.</content>
public sealed partial class PciRootPort
{
    private uint Slot => ConfigurationSpace.ReadRegister(SlotOffset);

    private int SlotOffset => _express.Offset + PciExpressRegisters.SlotControl;

    /// <summary>Nothing keeps the link down: presence, power, Link Disable, the reset of the secondary bus.</summary>
    private bool CanLink => IsOccupied && IsPowered && (Control & BridgeControl.SecondaryBusReset) == 0
        && (ConfigurationSpace.ReadRegister(_express.Offset + PciExpressRegisters.LinkControl) & PciExpressPortCapability.LinkDisable) == 0;

    /// <summary>The guest wrote Slot Control or Slot Status.</summary>
    internal void SlotWritten(in ConfigurationWrite write)
    {
        SlotChanged(write.Old, write.New);
        if (!_options.HotPlug || !write.Lanes.Overlaps(new ByteLanes(3)))
        {
            return;
        }

        uint changed = write.Changed;
        if ((changed & PciSlotRegisters.PowerControllerControl) != 0)
        {
            LinkConditionChanged();
        }

        uint released = _options.PowerController ? PciSlotRegisters.PowerControllerControl : PciSlotRegisters.PowerIndicatorBits;
        if ((changed & released) != 0 && IsReleased && Volatile.Read(ref _removal) is not null)
        {
            Bus?.RunAfterAccess(_release);
        }

        // Every write of Slot Control is a command, also one that changes nothing (PCIe base, 6.7.3.2), and it is complete now.
        ChangeSlot(PciSlotRegisters.CommandCompleted, PciSlotRegisters.CommandCompleted);
    }

    /// <summary>Something that the link depends on may have changed.</summary>
    internal void LinkConditionChanged()
    {
        bool up;
        lock (_linkLock)
        {
            up = CanLink;
            if (up == _linkUp)
            {
                return;
            }

            SetLink(up);
        }

        if (!up)
        {
            // What is behind a link that goes down is reset (PCIe base, 5.3.2 and 6.6.1).
            ScheduleSecondaryReset();
        }

        ForwardingChanged();
        if (_options.HotPlug)
        {
            ChangeSlot(PciSlotRegisters.LinkStateChanged, PciSlotRegisters.LinkStateChanged);
        }
    }

    /// <inheritdoc/>
    protected override void OnInterruptModeChanged()
    {
        if (_messages.IsEnabled && PciSlotRegisters.Interrupts(Slot))
        {
            // An event that waited while there were no messages would have no change to send one at.
            _messages[0].Signal();
        }
    }

    /// <inheritdoc/>
    private protected override void OnRestored()
    {
        uint link = ConfigurationSpace.ReadRegister(_express.Offset + PciExpressRegisters.LinkControl);
        lock (_linkLock)
        {
            _linkUp = (link & PciExpressPortCapability.LinkActive) != 0;
        }

        base.OnRestored();
    }

    /// <inheritdoc/>
    private protected override void OnSecondaryBusReset(bool asserted) => LinkConditionChanged();

    /// <summary>The slot shows what is in it, as at power-on: powered and linked if occupied, and no event.</summary>
    private void ShowOccupancy()
    {
        bool occupied = Secondary.Find(0) is not null;
        uint bits = PciSlotRegisters.PresenceDetectState | (PciSlotRegisters.StatusEvents << 16);
        uint value = occupied ? PciSlotRegisters.PresenceDetectState : 0;
        if (_options.HotPlug)
        {
            bits |= PciSlotRegisters.PowerIndicatorBits;
            value |= (uint)(occupied ? SlotIndicator.On : SlotIndicator.Off) << PciSlotRegisters.PowerIndicatorShift;
            if (_options.PowerController)
            {
                bits |= PciSlotRegisters.PowerControllerControl;
                value |= occupied ? 0 : PciSlotRegisters.PowerControllerControl;
            }
        }

        ChangeSlot(bits, value);
        lock (_linkLock)
        {
            SetLink(CanLink);
        }

        ForwardingChanged();
    }

    private void SetLink(bool up)
    {
        _linkUp = up;
        int register = _express.Offset + PciExpressRegisters.LinkControl;
        ConfigurationSpace.Update(register, PciExpressPortCapability.LinkActive, up ? PciExpressPortCapability.LinkActive : 0);
    }

    private void ChangeSlot(uint bits, uint value)
    {
        uint old = ConfigurationSpace.Update(SlotOffset, bits, value);
        SlotChanged(old, (old & ~bits) | (value & bits));
    }

    private void SlotChanged(uint old, uint now)
    {
        bool before = PciSlotRegisters.Interrupts(old);
        bool after = PciSlotRegisters.Interrupts(now);
        if (before == after)
        {
            return;
        }

        if (after && _messages.IsEnabled)
        {
            _messages[0].Signal();
        }

        lock (_levelLock)
        {
            // The level follows the register as it is now: of two changes that race the later one leaves the right level.
            Intx.SetLevel(PciSlotRegisters.Interrupts(Slot));
        }
    }
}
