using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.State;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;

namespace Vmm.Pci.Bridges;

/// <summary>A PCI Express root port with a slot behind it, and native hot-plug of the slot (PCIe base, 6.7; PCI-12).</summary>
/// <remarks>
/// <para>
/// The device in the slot has number 0 on the secondary bus. A function that is added to <see cref="PciBridge.Secondary"/> is there from the
/// start: its slot is powered and the link is up, and the guest is told nothing. <see cref="HotAdd"/> and <see cref="HotRemove"/> tell it.
/// </para>
/// <para>
/// Slot Control and Slot Status are one 32-bit register that changes by compare-and-swap only, so every change knows the state before and after
/// it, and an interrupt message goes out exactly at each change from "no enabled event waits" to "one does". <see cref="HotAdd"/>,
/// <see cref="HotRemove"/> and what a guest's release of the slot sets off are done whole, one after the other, under the slot lock. No guest
/// access waits for it: they are not called from inside an access, and the release follows after the access.
/// </para>
/// <para>Lock order: the slot lock, then the topology lock; the link lock (changes of the link) and the level lock (of the pin) are leaves,
/// apart from the wire's.</para>
/// </remarks>
public sealed partial class PciRootPort : PciBridge
{
    private readonly PciRootPortOptions _options;
    private readonly PciExpressPortCapability _express;
    private readonly MsiCapability _messages = new(1, is64Bit: true, perVectorMasking: true);
    private readonly Lock _slotLock = new();
    private readonly Lock _linkLock = new();
    private readonly Lock _levelLock = new();
    private readonly Action _release;
    private readonly SlotComponent _slot;
    private TaskCompletionSource? _removal;
    private volatile bool _linkUp;

    /// <summary>Makes a port with an empty slot.</summary>
    /// <param name="options">Identity, slot and windows.</param>
    /// <exception cref="ArgumentException">A slot number outside of 1 to 8191.</exception>
    public PciRootPort(PciRootPortOptions? options = null)
        : base((options ??= new PciRootPortOptions()).Identity, options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SlotNumber, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.SlotNumber, 8191, nameof(options));
        _options = options;
        _release = Release;
        _express = new PciExpressPortCapability(this, options);
        AddCapability(new PowerManagementCapability(noSoftReset: true));
        AddCapability(_express);
        AddCapability(_messages);
        _slot = new SlotComponent(this);
        ConfigurationSpace.DefineDeviceBits(_express.Offset + PciExpressRegisters.LinkControl, PciExpressPortCapability.LinkActive);
        ConfigurationSpace.DefineDeviceBits(
            SlotOffset,
            PciSlotRegisters.PresenceDetectState | (PciSlotRegisters.StatusEvents << 16) | PciSlotRegisters.PowerIndicatorBits
            | PciSlotRegisters.PowerControllerControl);
    }

    /// <summary>
    /// A state was restored in which the guest had been asked to release the device: told the removal, as <see cref="HotRemove"/> returned it then.
    /// On the thread that restores, without a lock; the removal may have completed.
    /// </summary>
    public event Action<Task>? RemovalRestored;

    /// <summary>A function is in the slot, as the guest sees it.</summary>
    public bool IsOccupied => (Slot & PciSlotRegisters.PresenceDetectState) != 0;

    /// <summary>The slot has power.</summary>
    public bool IsPowered => (Slot & PciSlotRegisters.PowerControllerControl) == 0;

    /// <summary>The link to the function in the slot is up: it can be reached.</summary>
    public bool IsLinkActive => _linkUp;

    /// <summary>What the attention indicator shows.</summary>
    public SlotIndicator AttentionIndicator => (SlotIndicator)((Slot >> PciSlotRegisters.AttentionIndicatorShift) & 3);

    /// <summary>What the power indicator shows.</summary>
    public SlotIndicator PowerIndicator => (SlotIndicator)((Slot >> PciSlotRegisters.PowerIndicatorShift) & 3);

    /// <inheritdoc/>
    internal override bool IsRootPort => true;

    private protected override bool IsSecondaryUp => _linkUp;

    /// <inheritdoc/>
    /// <remarks>The slot comes last: a removal that is taken up may take the functions away.</remarks>
    protected override IReadOnlyList<IComponent> Components => [.. Secondary.Functions, _slot];

    /// <summary>The guest was asked to release the device and has not done so yet.</summary>
    internal bool IsRemovalAsked => Volatile.Read(ref _removal) is not null;

    /// <summary>The guest does not use the slot, or does not any more.</summary>
    private bool IsReleased => _options.PowerController ? !IsPowered : PowerIndicator == SlotIndicator.Off;

    /// <summary>
    /// Puts a device into the empty slot while the guest runs, and tells the guest: presence, the attention button if the slot has no power
    /// yet, and the link when it comes up. The guest gives it addresses.
    /// </summary>
    /// <param name="function">Function 0 of the device.</param>
    /// <param name="others">Its functions 1 to 7, in order.</param>
    /// <exception cref="InvalidOperationException">The slot is occupied or not made for hot-plug, or the port is on no bus.</exception>
    public void HotAdd(PciFunction function, params PciFunction[] others)
    {
        ArgumentNullException.ThrowIfNull(function);
        ArgumentNullException.ThrowIfNull(others);
        ThrowUnlessHotPlug();
        lock (_slotLock)
        {
            if (Secondary.Find(0) is { } present)
            {
                throw new InvalidOperationException($"{Name} at {Address}: the slot holds {present.Name}");
            }

            try
            {
                Secondary.Add(function, 0);
                for (int i = 0; i < others.Length; i++)
                {
                    Secondary.Add(others[i], 0, i + 1);
                }
            }
            catch
            {
                RemoveFunctions();
                throw;
            }

            uint events = PciSlotRegisters.PresenceDetectState | PciSlotRegisters.PresenceDetectChanged;
            if (_options.AttentionButton && !IsPowered)
            {
                // With a button, guests leave an empty slot without power until it is pressed.
                events |= PciSlotRegisters.AttentionButtonPressed;
            }

            ChangeSlot(events, events);
            LinkConditionChanged();
        }
    }

    /// <summary>Takes the device out of the slot while the guest runs.</summary>
    /// <param name="removal">
    /// Surprise: it is off the bus when this returns. Orderly: the guest is asked; where it does not use the slot (no power, or the power
    /// indicator off if it does not control the power) this is at once. A second orderly request while one is open asks nothing new; a surprise
    /// removal completes it.
    /// </param>
    /// <returns>
    /// Completes when the device is off the bus and at its power-on state; the caller disposes the functions. Cancelled if a state is restored in which
    /// no removal was asked for.
    /// </returns>
    /// <exception cref="InvalidOperationException">The slot is empty or not made for hot-plug, or has no button to ask with.</exception>
    public Task HotRemove(SlotRemoval removal)
    {
        ThrowUnlessHotPlug();
        lock (_slotLock)
        {
            if (Secondary.Find(0) is null)
            {
                throw new InvalidOperationException($"{Name} at {Address}: the slot is empty");
            }

            if (removal == SlotRemoval.Surprise || IsReleased)
            {
                Eject();
                return Task.CompletedTask;
            }

            if (!_options.AttentionButton)
            {
                throw new InvalidOperationException($"{Name} at {Address}: the slot has no attention button to ask the guest with");
            }

            if (_removal is not null)
            {
                return _removal.Task;
            }

            var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

            // A full fence: a guest that releases the slot now either sees the request, or its release is seen here.
            Interlocked.Exchange(ref _removal, asked);
            if (IsReleased)
            {
                Eject();
            }
            else
            {
                ChangeSlot(PciSlotRegisters.AttentionButtonPressed, PciSlotRegisters.AttentionButtonPressed);
            }

            return asked.Task;
        }
    }

    /// <summary>Takes up a removal that was asked for before the state was saved, or drops one that was not.</summary>
    internal void RestoreRemoval(bool asked)
    {
        Task removal;
        lock (_slotLock)
        {
            if (!asked)
            {
                // Whoever waits for a removal of before hears that there is none any more: the device stays.
                Interlocked.Exchange(ref _removal, null)?.TrySetCanceled();
                return;
            }

            var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            open = Interlocked.CompareExchange(ref _removal, open, null) ?? open;
            removal = open.Task;
            if (IsReleased)
            {
                // The guest has done its part, and will not do it again.
                Eject();
            }
        }

        RemovalRestored?.Invoke(removal);
    }

    /// <inheritdoc/>
    internal override void CheckPlace(int device)
    {
        if (device != 0)
        {
            throw new ArgumentException($"{Name} at {Address}: a link leads to device 0 only, not {device}", nameof(device));
        }
    }

    /// <inheritdoc/>
    internal override void SecondaryChanged()
    {
        if (!_slotLock.IsHeldByCurrentThread)
        {
            ShowOccupancy();
        }
    }

    /// <inheritdoc/>
    protected override void OnReset()
    {
        // A machine that starts again finds the slot as it is then.
        if (Volatile.Read(ref _removal) is not null)
        {
            Bus?.RunAfterAccess(CompleteRemoval);
        }

        ShowOccupancy();
        Intx.SetLevel(false);
        base.OnReset();
    }

    /// <inheritdoc/>
    protected override void OnLeaving()
    {
        // The slot is empty, or the port could not leave: whoever waits for a removal has waited long enough.
        Interlocked.Exchange(ref _removal, null)?.TrySetResult();
    }

    /// <summary>The slot can be filled and emptied while the machine runs.</summary>
    internal bool HasHotPlug => _options.HotPlug;

    private void ThrowUnlessHotPlug()
    {
        if (!_options.HotPlug || Bus is null)
        {
            throw new InvalidOperationException(Bus is null ? $"{Name} is on no bus" : $"{Name} at {Address}: the slot is not made for hot-plug");
        }
    }

    /// <summary>The guest released the slot while a removal was open. By now both may be history, and the slot hold another device.</summary>
    private void Release()
    {
        lock (_slotLock)
        {
            if (_removal is not null && IsReleased)
            {
                Eject();
            }
        }
    }

    private void CompleteRemoval()
    {
        lock (_slotLock)
        {
            if (_removal is not null)
            {
                Eject();
            }
        }
    }

    /// <summary>Empties the slot, tells the guest, and completes a removal that was asked for. The slot lock is held.</summary>
    private void Eject()
    {
        if (RemoveFunctions())
        {
            ChangeSlot(PciSlotRegisters.PresenceDetectState | PciSlotRegisters.PresenceDetectChanged, PciSlotRegisters.PresenceDetectChanged);
            LinkConditionChanged();
        }

        Interlocked.Exchange(ref _removal, null)?.TrySetResult();
    }

    /// <summary>Empties the slot without a word to the guest. The slot lock is held.</summary>
    /// <returns>False if it was empty.</returns>
    private bool RemoveFunctions()
    {
        var functions = Secondary.Functions.Reverse().ToList();
        foreach (PciFunction? function in functions)
        {
            Secondary.Remove(function);
            function.Reset();
        }

        return functions.Count > 0;
    }
}
