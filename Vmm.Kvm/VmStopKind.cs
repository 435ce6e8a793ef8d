namespace Vmm.Kvm;

/// <summary>Why a machine's vCPUs ended.</summary>
public enum VmStopKind
{
    /// <summary>The embedder asked for it.</summary>
    Stopped,

    /// <summary>The guest powered off.</summary>
    PowerOff,

    /// <summary>The guest asked for a reset.</summary>
    Reset,

    /// <summary>The guest took a triple fault.</summary>
    TripleFault,

    /// <summary>
    /// The hypervisor cannot go on with the guest: an instruction that it cannot emulate, an entry that failed, an exit that it does not know.
    /// </summary>
    InternalError,

    /// <summary>The host failed.</summary>
    HostError,
}
