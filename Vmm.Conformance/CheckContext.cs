using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Vmm.Conformance.Driving;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance;

/// <summary>What a check works with: the function, what is known of it, and how to end.</summary>
/// <remarks>Belongs to the thread that runs the check. Every wait has an end, and ends early when the check's time is over.</remarks>
public sealed class CheckContext
{
    private readonly GuardedAccess _access;
    private readonly KnownState _state;
    private readonly ConformanceTarget _target;

    internal CheckContext(ConformanceTarget target, GuardedAccess access, KnownState state, RunLimits limits)
    {
        (_target, _access, _state, Limits) = (target, access, state, limits);
    }

    /// <summary>The function.</summary>
    public IPciFunctionAccess Access => _access;

    /// <summary>What configuration space says.</summary>
    public PciFacts Facts => _state.Facts;

    /// <summary>Where the virtio structures are.</summary>
    public VirtioPciStructures Structures => _state.Structures ?? throw new CheckSkippedException("the virtio structures cannot be found");

    /// <summary>The virtio structures can be found.</summary>
    public bool HasVirtio => _state.Structures is not null;

    /// <summary>How long to wait for what.</summary>
    public RunLimits Limits { get; }

    /// <summary>The Command register when the run began.</summary>
    public uint InitialCommand => _state.InitialCommand;

    /// <summary>The MSI-X control word when the run began.</summary>
    public uint InitialMessageControl => _state.InitialMessageControl;

    /// <summary>The vector control words of the MSI-X table when the run began.</summary>
    public IReadOnlyList<uint> InitialEntryControls => _state.InitialEntryControls;

    /// <summary>The device status when the run began.</summary>
    public byte InitialStatus => _state.InitialStatus;

    /// <summary>The medium may be overwritten.</summary>
    public bool IsScratch => _target.IsScratch;

    /// <summary>The virtio device type, by the PCI ids; -1 if they are none of virtio's.</summary>
    public int DeviceType => VirtioPciStructures.TryIdentify(_access, out VirtioDeviceType type) ? (int)type : -1;

    /// <summary>The type that the function is known to be, or null.</summary>
    public VirtioDeviceType? Kind => _target.Kind;

    /// <summary>How one request to the device looks.</summary>
    /// <exception cref="CheckSkippedException">Neither the target nor the suite knows.</exception>
    public QueueWork Work => _target.Work ?? KnownWork.Of(DeviceType) ?? throw new CheckSkippedException(
        string.Create(CultureInfo.InvariantCulture, $"the suite has no work for a device of type {DeviceType}"));

    /// <summary>A buffer of a queue came back used: reports say which queues were exercised.</summary>
    /// <param name="queue">The queue's index.</param>
    public void NoteUsed(int queue) => _state.NoteUsed(queue);

    /// <summary>Ends the check unless something holds.</summary>
    /// <param name="holds">Whether it holds.</param>
    /// <param name="expected">What was expected.</param>
    /// <param name="seen">What was seen.</param>
    public void Require([DoesNotReturnIf(false)] bool holds, string expected, string seen)
    {
        if (!holds)
        {
            Fail(expected, seen);
        }
    }

    /// <summary>Ends the check unless two values are equal.</summary>
    /// <param name="what">What has the value.</param>
    /// <param name="expected">The value that was expected.</param>
    /// <param name="seen">The value that was seen.</param>
    public void Equal(string what, ulong expected, ulong seen) => Require(expected == seen, $"{what} = {Hex(expected)}", Hex(seen));

    /// <summary>Ends the check unless something comes to hold in time.</summary>
    /// <param name="condition">What has to hold.</param>
    /// <param name="expected">What was expected.</param>
    /// <param name="seen">Says what was seen.</param>
    public void Await(Func<bool> condition, string expected, Func<string> seen)
    {
        ArgumentNullException.ThrowIfNull(seen);
        if (!Deadline.WaitFor(() => Guarded(condition), Limits.Reply))
        {
            Fail(expected, $"{seen()} after {Limits.Reply.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s");
        }
    }

    /// <summary>Ends the check if something happens that must not.</summary>
    /// <param name="happened">Whether it has happened.</param>
    /// <param name="expected">What was expected.</param>
    /// <param name="seen">Says what was seen.</param>
    public void Never(Func<bool> happened, string expected, Func<string> seen)
    {
        ArgumentNullException.ThrowIfNull(seen);
        if (Deadline.WaitFor(() => Guarded(happened), Limits.Quiet))
        {
            Fail(expected, seen());
        }
    }

    /// <summary>Ends the check: the device does not do what is asked.</summary>
    /// <param name="expected">What was expected.</param>
    /// <param name="seen">What was seen.</param>
    [DoesNotReturn]
    public void Fail(string expected, string seen)
    {
        _access.ThrowIfRevoked();
        throw new CheckFailedException(expected, seen);
    }

    /// <summary>Ends the check: it says nothing about this device.</summary>
    /// <param name="reason">Why.</param>
    [DoesNotReturn]
    public void Skip(string reason)
    {
        _access.ThrowIfRevoked();
        throw new CheckSkippedException(reason);
    }

    /// <summary>A value as reports show it.</summary>
    /// <param name="value">The value.</param>
    public static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");

    private bool Guarded(Func<bool> condition)
    {
        _access.ThrowIfRevoked();
        return condition();
    }
}
