namespace Vmm.Machine;

/// <summary>Why a machine ended.</summary>
public enum MachineExitReason
{
    /// <summary>The guest powered off.</summary>
    PowerOff,

    /// <summary>The guest asked for a reset.</summary>
    Reset,

    /// <summary>It was stopped from outside.</summary>
    Stopped,

    /// <summary>The guest died: a triple fault, or a state that the hypervisor cannot run.</summary>
    GuestDied,

    /// <summary>The host or the hypervisor failed.</summary>
    HostFailed,
}
