namespace Vmm.Machine.Control;

/// <summary>The state of a controller's machine.</summary>
public enum MachineStatus
{
    /// <summary>There is none.</summary>
    None,

    /// <summary>It is described, and was not booted yet.</summary>
    Created,

    /// <summary>The guest runs.</summary>
    Running,

    /// <summary>The guest stands still.</summary>
    Paused,

    /// <summary>It has run; its description is kept, and it can be booted again.</summary>
    Shutdown,
}
