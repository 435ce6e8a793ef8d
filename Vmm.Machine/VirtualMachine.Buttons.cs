using System;

namespace Vmm.Machine;

/// <content>The buttons on the front of the machine.</content>
public sealed partial class VirtualMachine
{
    private MachinePlatform? _platform;

    /// <summary>
    /// Presses the ACPI power button: an operating system that listens shuts down, and the machine ends with
    /// <see cref="MachineExitReason.PowerOff"/>; one that does not, or not yet, goes on. From any thread; returns at once.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The machine is disposed.</exception>
    public void PressPowerButton()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _platform!.Power.PressPowerButton();
    }

    /// <summary>
    /// Gives every vCPU that runs a non-maskable interrupt: Linux logs it, or panics and dumps where it is told to
    /// (<c>kernel.unknown_nmi_panic</c>). From any thread; returns at once.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The machine is disposed.</exception>
    public void InjectNmi()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _ = _hypervisor!.InjectNmi();
    }
}
