namespace Vmm.Kvm;

/// <summary>Why a machine's vCPUs ended, in words.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Message">One line for people; with registers and disassembly below it where the guest died.</param>
/// <param name="VcpuId">The vCPU it happened on, or null.</param>
public sealed record VmStopReason(VmStopKind Kind, string Message, int? VcpuId = null)
{
    /// <summary>The embedder asked for it.</summary>
    public static VmStopReason Stopped { get; } = new(VmStopKind.Stopped, "stopped");

    /// <summary>The guest powered off.</summary>
    public static VmStopReason PowerOff { get; } = new(VmStopKind.PowerOff, "the guest powered off");

    /// <summary>The guest asked for a reset.</summary>
    public static VmStopReason Reset { get; } = new(VmStopKind.Reset, "the guest asked for a reset");
}
