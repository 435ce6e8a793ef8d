namespace Vmm.Kvm;

/// <summary>Whether a vCPU executes or waits (KVM_GET_MP_STATE).</summary>
public enum VcpuMpState
{
    /// <summary>Executes.</summary>
    Runnable = 0,

    /// <summary>An application processor that was not started yet.</summary>
    Uninitialized = 1,

    /// <summary>Got INIT, waits for SIPI.</summary>
    InitReceived = 2,

    /// <summary>Halted, waits for an interrupt.</summary>
    Halted = 3,

    /// <summary>Got SIPI.</summary>
    SipiReceived = 4,
}
