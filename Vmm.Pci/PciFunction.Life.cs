using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.State;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Spec;
using Vmm.Pci.State;

namespace Vmm.Pci;

/// <content>The life of a function: on a bus and off it, reset, and the hooks by which a device follows.</content>
public partial class PciFunction : ICapabilityOwner, IBarOwner, IComponent
{
    private IFunctionBus? _bus;
    private bool _sealed;
    private bool _disposed;
    private bool _leaving;

    bool ICapabilityOwner.IsOnRootBus => _bus is { IsRoot: true };

    IMsiSink? ICapabilityOwner.MsiSink => _bus?.MsiSink;

    IIrqRouting? ICapabilityOwner.IrqRouting => _bus?.IrqRouting;

    uint ICapabilityOwner.RequesterId => Address.RequesterId;

    bool IBarOwner.IsPowered => PowerState == PciPowerState.D0;

    /// <summary>
    /// Takes the whole function to its power-on state: registers, interrupts, decoding, and the device through <see cref="OnReset"/>.
    /// </summary>
    public void Reset()
    {
        _space.Reset();
        _capabilities.Reset();
        ApplyBusMaster();
        Intx.SetLevel(false);
        Decoding.Schedule();
        CallHook(static function => function.OnReset(), 0);
    }

    /// <summary>The place on its bus: device and function number, in hexadecimal.</summary>
    string IComponent.Name => string.Create(CultureInfo.InvariantCulture, $"{Address.Device:x2}.{Address.Function}");

    IReadOnlyList<IComponent> IComponent.Parts => Components;

    /// <summary>
    /// What the device behind the registers has of state and of values to show. Restored after the function itself, in this order.
    /// </summary>
    protected virtual IReadOnlyList<IComponent> Components => [];

    /// <inheritdoc/>
    public virtual void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        FunctionInspection.Inspect(this, node);
    }

    /// <inheritdoc/>
    public virtual SavedState? Save() => FunctionStates.Save(this);

    /// <inheritdoc/>
    public virtual Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        FunctionState checkedState = FunctionStates.Read(this, state);
        return () => Restore(checkedState);
    }

    /// <summary>
    /// Takes the function off its bus, as <see cref="IPciBus.Remove"/> does, and releases what it holds. Not from inside an access.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// Other functions have to go first: it is function 0 of a device that has others, or a bridge with something behind it. Nothing has changed.
    /// </exception>
    public void Dispose()
    {
        if (!_disposed)
        {
            _bus?.RemoveForDisposal(this);
            EndLeaving();
            _disposed = true;
            Dispose(true);
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Resets the function when the access that the calling thread may be in has ended.</summary>
    protected internal void ScheduleReset()
    {
        if (_bus is { } bus)
        {
            bus.RunAfterAccess(Reset);
        }
        else
        {
            Reset();
        }
    }

    private void Restore(FunctionState state)
    {
        _space.Reset();
        _capabilities.Reset();
        Msix?.Restore(state.Msix!);
        Msi?.Restore(state.MsiEnabledCount!.Value, state.MsiPending!);
        _space.Restore(state.Registers);

        // Vectors were restored while their mechanism was off, so that all of them are routed by one change now.
        ApplyBusMaster();
        _capabilities.MasteringChanged();
        Intx.SetLevel(state.PinAsserted);
        Decoding.Schedule();
        OnRestored();
    }

    /// <summary>The registers were restored; what a bridge forwards follows.</summary>
    private protected virtual void OnRestored()
    {
    }

    /// <summary>Releases what the function holds. It is on no bus any more.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            _capabilities.Dispose();
        }
    }

    /// <summary>The function was reset: registers, interrupts and BARs are at their power-on values, the device follows here.</summary>
    /// <remarks>
    /// On the thread of the vCPU whose access asked for it, after that access has ended and before the vCPU goes on; or on the thread that calls
    /// <see cref="Reset"/> or <see cref="Vmm.Pci.Host.PciHostBridge.Reset"/>, or takes the function out of a slot. No lock of the function is held.
    /// Accesses of other vCPUs may come meanwhile, and another reset with them.
    /// </remarks>
    protected virtual void OnReset()
    {
    }

    /// <summary>
    /// The device may master the bus now, or may not any more; <see cref="IsBusMaster"/> says to what. A device that waited for it goes on here.
    /// </summary>
    /// <remarks>
    /// On the thread of the vCPU that wrote Command, a power state or a bridge's register, inside its access: what waits or changes an address space
    /// goes to <see cref="Vmm.DeviceModel.Epochs.AccessDomain.RunAfterAccess"/>. Or on the thread of a reset, or of whoever adds the function to a
    /// bus.
    /// No lock of the function is held; accesses and a further change may come meanwhile, on other threads.
    /// </remarks>
    protected virtual void OnBusMasterChanged()
    {
    }

    /// <summary>MSI-X was enabled, disabled, masked or unmasked as a whole, or MSI was enabled or disabled.</summary>
    /// <remarks>
    /// On the thread of the vCPU that wrote the control word, inside its access, or of whoever calls
    /// <see cref="Vmm.Pci.Capabilities.MessageCapability.Disable"/>; not at a reset, which <see cref="OnReset"/> tells. No lock of the function is
    /// held; accesses and a further change may come meanwhile, on other threads.
    /// </remarks>
    protected virtual void OnInterruptModeChanged()
    {
    }

    /// <summary>MSI-X vectors were written in the table: message, mask, or both. No vector's gate is held.</summary>
    /// <param name="first">Index of the first one.</param>
    /// <param name="count">1 or 2.</param>
    protected internal virtual void OnVectorsWritten(int first, int count)
    {
    }

    /// <summary>The function is on a bus, its capabilities too; configuration accesses do not reach it yet. Throwing keeps it off the bus.</summary>
    protected virtual void OnAttached()
    {
    }

    /// <summary>
    /// The function leaves its bus: no configuration access reaches it any more, its BARs still decode and its vectors are still routed. Accesses that
    /// may wait (<see cref="PciFunctionOptions.IsConfigurationBlocking"/>) may be in flight still; they have ended when its removal has.
    /// </summary>
    protected virtual void OnLeaving()
    {
    }

    /// <summary>
    /// The function has left its bus, and no access reaches it any more: what takes long, a reset of something on the host, is done here. On the
    /// thread that removed or disposes it, under no lock of the bus.
    /// </summary>
    protected virtual void OnLeft()
    {
    }

    /// <summary>
    /// BARs decode where they did not, or not where they did; <see cref="GetMappedAddress"/> tells. Called under the mapping lock, outside of any
    /// access.
    /// </summary>
    protected virtual void OnDecodingChanged()
    {
    }

    /// <summary>A header register changed by a guest's write; what every function does about it is done.</summary>
    private protected virtual void OnHeaderChanged(int register, uint changed, uint value)
    {
    }

    /// <summary>The function went to or came back from D3hot without a reset.</summary>
    private protected virtual void OnPowerStateChanged()
    {
    }

    /// <summary>Joins a bus; configuration accesses do not reach the function yet. If a hook throws it has left again.</summary>
    internal void Attach(IFunctionBus bus, PciAddress address, IInterruptLine? wire)
    {
        if (!_sealed)
        {
            _capabilities.Seal();
            _sealed = true;
        }

        Address = address;
        _bus = bus;
        _reports.Logger = bus.Logger;
        Decoding.Attach(bus.Route, address.ToString());
        Intx.Attach(wire);
        _capabilities.Attached();
        try
        {
            OnAttached();
        }
        catch
        {
            Detach();
            throw;
        }
    }

    /// <summary>The function is where configuration accesses find it: what depends on the bridges above is evaluated.</summary>
    internal void Appeared()
    {
        ApplyBusMaster();
        Decoding.Schedule();
    }

    /// <summary>Stops decoding and lets go of the bus. Not from inside an access.</summary>
    internal void Detach()
    {
        CallHook(static function => function.OnLeaving(), 0);
        Decoding.Detach();
        _bus = null;
        _capabilities.Detached();
        Intx.Detach();
        Volatile.Write(ref _leaving, true);
    }

    /// <summary>
    /// Waits for the accesses that may take long and were in flight when the function left its bus, and has it do what takes long itself. Under no lock
    /// of the bus.
    /// </summary>
    internal void EndLeaving()
    {
        Decoding.WaitForBlockingCalls();
        BlockingConfiguration?.Wait();
        if (Interlocked.Exchange(ref _leaving, false))
        {
            CallHook(static function => function.OnLeft(), 0);
        }
    }

    /// <summary>The bus has another number now.</summary>
    internal void Renumber()
    {
        if (_bus is { } bus)
        {
            Address = new PciAddress(bus.Number, Address.Device, Address.Function);
            _capabilities.AddressChanged();
        }
    }

    /// <summary>The registers have changed, or what a bridge above forwards: DMA and messages follow.</summary>
    internal void ApplyBusMaster()
    {
        if (_mastering.Apply())
        {
            _capabilities.MasteringChanged();
            CallHook(static function => function.OnBusMasterChanged(), ConfigurationRegisters.Command);
        }
    }

    /// <summary>A configuration read as the host bridge passes it on: an exception of the function ends here.</summary>
    internal uint ReadFromBus(int offset, int width)
    {
        try
        {
            return ReadConfiguration(offset, width);
        }
        catch (Exception e)
        {
            Fault(e, offset);
            return (uint)AccessWidth.Mask(width);
        }
    }

    /// <summary>A configuration write as the host bridge passes it on: an exception of the function ends here.</summary>
    internal void WriteFromBus(int offset, int width, uint value)
    {
        try
        {
            WriteConfiguration(offset, width, value);
        }
        catch (Exception e)
        {
            Fault(e, offset);
        }
    }

    /// <summary>
    /// Counts and logs a fault of a hook, a capability or a region. Callers on a path that is often taken catch for themselves: a method that
    /// catches is not inlined. What they let out would take the configuration space of all functions, or the BAR, out of service.
    /// </summary>
    internal void Fault(Exception reason, int offset) => _reports.Fault(reason, offset);

    void ICapabilityOwner.Fault(Exception reason, int offset) => Fault(reason, offset);

    void IBarOwner.Fault(Exception reason, int offset) => Fault(reason, offset);

    void ICapabilityOwner.ScheduleReset() => ScheduleReset();

    void ICapabilityOwner.InterruptModeChanged()
    {
        Intx.Refresh();

        // MSI-X decides whether MSI sends.
        Msi?.FunctionChanged();
        CallHook(static function => function.OnInterruptModeChanged(), ConfigurationRegisters.Command);
    }

    void ICapabilityOwner.PowerStateChanged(bool reset)
    {
        if (reset)
        {
            ScheduleReset();
            return;
        }

        ApplyBusMaster();
        Intx.Refresh();
        Decoding.Schedule();
        OnPowerStateChanged();
    }

    void ICapabilityOwner.RouteRefused(int vector, HostException reason) => _reports.RouteRefused(vector, reason);

    void IBarOwner.DecodingChanged() => CallHook(static function => function.OnDecodingChanged(), ConfigurationRegisters.Command);

    void IBarOwner.MappingRefused(PciBar bar, ulong address, HostException reason) => _reports.MappingRefused(bar.Index, address, reason);

    /// <summary>Calls a hook of the device. Its exception ends here, so that what follows for the function itself is done all the same.</summary>
    private void CallHook(Action<PciFunction> hook, int offset)
    {
        try
        {
            hook(this);
        }
        catch (Exception e)
        {
            Fault(e, offset);
        }
    }

    private void ThrowIfSealed()
    {
        if (_sealed)
        {
            throw new InvalidOperationException($"{Name}: BARs and capabilities are added before the function joins a bus");
        }
    }
}
