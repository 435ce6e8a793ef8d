using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Access;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Vfio.Passthrough;

/// <summary>Keeps the device's interrupts as the guest's registers want them: INTx, MSI, MSI-X or none, one at a time (VFIO-8, VFIO-9).</summary>
/// <remarks>
/// <para>
/// <see cref="Apply"/> computes what is wanted from the registers as they are, under one lock, so that of two changes that race the last
/// application agrees with the registers. Masking is not our business: a masked vector's eventfd collects (<see cref="MessageVector"/>).
/// </para>
/// <para>
/// A switch that fails puts the mode before back, and the guest's enable bit with it. Where the host has fewer messages or vectors than the guest
/// enabled, the first ones work and the others are silent until the guest enables anew: what the guest wrote cannot be taken back behind its back,
/// and a device with fewer messages raises its events by those that it has. MSI-X vectors are given to the device when they first turn effective.
/// Lock order: this lock, then the creation lock of <see cref="MessageCapability"/>; never from inside a vector's gate.
/// </para>
/// </remarks>
internal sealed class PassthroughInterrupts(
    PassthroughFunction function, IPciDeviceBackend backend, DeviceLayout layout, ILogger logger) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly PinInterrupt _pin = new(function, backend);
    private readonly EventFd?[] _vectors = new EventFd?[layout.Msix?.Limit ?? 0];
    private readonly bool _canGrow = layout.Msix is not null && backend.GetInterrupt(PciInterruptIndex.Msix).CanGrow;
    private readonly TokenBucket _reports = new(burst: 3);
    private volatile PassthroughInterruptMode _mode;
    private int _messages;
    private int _enabled;
    private int _given = int.MaxValue;
    private bool _stopped = true;
    private long _failures;

    /// <summary>How the device interrupts now.</summary>
    public PassthroughInterruptMode Mode => _mode;

    /// <summary>How often a switch or more vectors were refused.</summary>
    public long Failures => Volatile.Read(ref _failures);

    /// <summary>How many MSI-X vectors or MSI messages the device signals.</summary>
    public int SignallingCount
    {
        get
        {
            lock (_lock)
            {
                return _mode switch
                {
                    PassthroughInterruptMode.Msi => Math.Min(_messages, _given),
                    PassthroughInterruptMode.Msix => Array.FindAll(_vectors, static vector => vector is not null).Length,
                    _ => 0,
                };
            }
        }
    }

    /// <summary>Lets interrupts follow the registers from now on.</summary>
    public void Start()
    {
        lock (_lock)
        {
            _stopped = false;
        }
    }

    /// <summary>Disables every interrupt of the device, whatever the registers say.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            _stopped = true;
            try
            {
                Leave();
            }
            catch (HostException e)
            {
                Log.ReleaseFailed(logger, e, function.Name, "disabling interrupts");
            }
        }
    }

    /// <summary>Has the device's interrupts follow the registers.</summary>
    public void Apply()
    {
        MessageCapability? refused = null;
        lock (_lock)
        {
            PassthroughInterruptMode wanted = Wanted();
            bool recount = wanted == PassthroughInterruptMode.Msi && _mode == wanted && _messages != function.Msi!.EnabledCount;
            if ((wanted != _mode || recount) && !Switch(wanted))
            {
                refused = wanted switch
                {
                    PassthroughInterruptMode.Msix => function.Msix,
                    PassthroughInterruptMode.Msi => function.Msi,
                    _ => null,
                };
            }
            else if (_mode == PassthroughInterruptMode.Msix)
            {
                Grow(0, _vectors.Length);
            }
        }

        // The bit that could not be kept goes back, and what follows from that comes here again, to the mode that is on already.
        refused?.Disable();
    }

    /// <summary>Gives the device those of some vectors that have turned effective.</summary>
    public void ApplyVectors(int first, int count)
    {
        lock (_lock)
        {
            if (_mode == PassthroughInterruptMode.Msix)
            {
                Grow(first, count);
            }
        }
    }

    /// <summary>Closes what the pin had. Everything is disabled.</summary>
    public void Dispose() => _pin.Dispose();

    private PassthroughInterruptMode Wanted()
    {
        const PciCommand InUse = PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster;
        if (_stopped)
        {
            return PassthroughInterruptMode.None;
        }

        if (function.IsMsixEnabled)
        {
            return PassthroughInterruptMode.Msix;
        }

        if (function.UsesMessages)
        {
            return PassthroughInterruptMode.Msi;
        }

        // Before somebody in the guest uses the device there is nobody to acknowledge its pin.
        return function.HasPin && (function.Command & InUse) != 0 ? PassthroughInterruptMode.Pin : PassthroughInterruptMode.None;
    }

    /// <summary>Goes to a mode, or stays in the one before.</summary>
    private bool Switch(PassthroughInterruptMode wanted)
    {
        PassthroughInterruptMode before = _mode;
        try
        {
            Leave();
            Enter(wanted);
            return true;
        }
        catch (HostException e)
        {
            Interlocked.Increment(ref _failures);
            try
            {
                Leave();
                Enter(before);
            }
            catch (HostException)
            {
                Interlocked.Increment(ref _failures);
            }

            if (_reports.TryTake(out _))
            {
                Log.InterruptsRefused(logger, e, function.Name, before.ToString(), wanted.ToString(), _mode.ToString());
            }

            return false;
        }
    }

    private void Leave()
    {
        PassthroughInterruptMode before = _mode;
        _mode = PassthroughInterruptMode.None;
        _enabled = 0;
        _given = int.MaxValue;
        Array.Clear(_vectors);
        switch (before)
        {
            case PassthroughInterruptMode.Pin:
                _pin.Disable();
                break;
            case PassthroughInterruptMode.Msi:
                backend.DisableInterrupts(PciInterruptIndex.Msi);
                break;
            case PassthroughInterruptMode.Msix:
                backend.DisableInterrupts(PciInterruptIndex.Msix);
                break;
            default:
                break;
        }
    }

    private void Enter(PassthroughInterruptMode mode)
    {
        switch (mode)
        {
            case PassthroughInterruptMode.Pin:
                _pin.Enable();
                break;
            case PassthroughInterruptMode.Msi:
                EnterMsi();
                break;
            case PassthroughInterruptMode.Msix:
                EnterMsix();
                break;
            default:
                break;
        }

        _mode = mode;
    }

    private void EnterMsi()
    {
        RequireRouting();
        int count = function.Msi!.EnabledCount;
        var triggers = new EventFd?[count];
        function.Msi.CreateEventFds(Enumerable.Range(0, count));
        for (int i = 0; i < count; i++)
        {
            triggers[i] = function.Msi[i].GetEventFd();
        }

        Enable(PciInterruptIndex.Msi, triggers);
        _messages = count;
    }

    private void EnterMsix()
    {
        RequireRouting();

        // The device has to know that MSI-X is on even while every vector is masked.
        int count = 1;
        int[] effective = [.. Enumerable.Range(0, _vectors.Length).Where(i => function.Msix![i].IsEffective)];
        function.Msix!.CreateEventFds(effective);
        foreach (int i in effective)
        {
            _vectors[i] = function.Msix[i].GetEventFd();
            count = i + 1;
        }

        _enabled = Enable(PciInterruptIndex.Msix, _vectors.AsSpan(0, count));
        _vectors.AsSpan(_enabled).Clear();
    }

    /// <summary>Enables a kind with as many of its first interrupts as the host has, and says so if these are fewer.</summary>
    /// <returns>How many they are.</returns>
    /// <exception cref="VfioException">Refused.</exception>
    private int Enable(PciInterruptIndex index, ReadOnlySpan<EventFd?> triggers)
    {
        int wanted = triggers.Length;
        for (int available; (available = backend.SetTriggers(index, 0, triggers)) < triggers.Length;)
        {
            if (available < 1)
            {
                throw new VfioException("set triggers", function.Name, 0, $"the back-end has {available} of {triggers.Length} vectors and did not refuse");
            }

            // A device takes a power of two of messages, and would signal those beyond what there are.
            _given = index == PciInterruptIndex.Msi ? 1 << BitOperations.Log2((uint)available) : available;
            triggers = triggers[.._given];
        }

        if (triggers.Length < wanted)
        {
            Interlocked.Increment(ref _failures);
            if (_reports.TryTake(out _))
            {
                Log.FewerVectors(logger, function.Name, index.ToString(), triggers.Length, wanted);
            }
        }

        return triggers.Length;
    }

    /// <summary>Adds the vectors of a range that are effective and that the device does not signal yet.</summary>
    private void Grow(int first, int count)
    {
        List<int>? added = null;
        int end = Math.Min(first + count, Math.Min(_vectors.Length, _given));
        for (int i = first; i < end; i++)
        {
            if (_vectors[i] is null && function.Msix![i].IsEffective)
            {
                (added ??= []).Add(i);
            }
        }

        if (added is null)
        {
            return;
        }

        try
        {
            function.Msix!.CreateEventFds(added);
            if (_canGrow || added[^1] < _enabled)
            {
                AddEach(added);
            }
            else
            {
                Enlarge(added);
            }
        }
        catch (HostException e)
        {
            Interlocked.Increment(ref _failures);
            if (_reports.TryTake(out _))
            {
                Log.VectorsRefused(logger, e, function.Name);
            }
        }
    }

    private void AddEach(List<int> added)
    {
        foreach (int index in added)
        {
            EventFd eventFd = function.Msix![index].GetEventFd();
            backend.SetTriggers(PciInterruptIndex.Msix, index, [eventFd]);
            _vectors[index] = eventFd;
            _enabled = Math.Max(_enabled, index + 1);
        }
    }

    /// <summary>Enables MSI-X anew with more vectors, where the device cannot add them while others are enabled.</summary>
    private void Enlarge(List<int> added)
    {
        EventFd?[] before = _vectors.AsSpan(0, _enabled).ToArray();
        var wanted = new EventFd?[added[^1] + 1];
        before.CopyTo(wanted, 0);
        foreach (int index in added)
        {
            wanted[index] = function.Msix![index].GetEventFd();
        }

        backend.DisableInterrupts(PciInterruptIndex.Msix);
        try
        {
            _enabled = Enable(PciInterruptIndex.Msix, wanted);
            wanted.AsSpan(0, _enabled).CopyTo(_vectors);
            _vectors.AsSpan(_enabled).Clear();
        }
        catch (HostException)
        {
            Restore(before);
            throw;
        }
        finally
        {
            // What the device signalled in between is lost. A driver looks and finds nothing at a needless interrupt; it hangs at a missing one.
            foreach (EventFd? eventFd in before)
            {
                eventFd?.Signal();
            }
        }
    }

    private void Restore(EventFd?[] triggers)
    {
        try
        {
            _enabled = Enable(PciInterruptIndex.Msix, triggers);
            _vectors.AsSpan(_enabled).Clear();
        }
        catch (HostException)
        {
            // Off altogether; the next change of a register tries from the start.
            Leave();
            throw;
        }
    }

    private void RequireRouting()
    {
        if (function.Bus?.IrqRouting is null)
        {
            throw new HostException("MSI", 0, "the machine delivers no eventfds");
        }
    }
}
