using System;
using Vmm.Virtio.Devices;

namespace Vmm.Conformance;

/// <summary>One requirement that a driver can observe, and how to observe it.</summary>
/// <param name="Id">Stable name, for example <c>VTP-STATUS-RESET</c>.</param>
/// <param name="Section">Where the requirement stands, for example <c>virtio 1.2, 4.1.4.3.1</c>; of virtio functions alone if that is virtio.</param>
/// <param name="Requirement">The requirement in our words.</param>
/// <param name="Body">Observes it through the context; returns if it holds, ends through the context otherwise.</param>
public sealed record Check(string Id, string Section, string Requirement, Action<CheckContext> Body)
{
    /// <summary>What the function must have for the check to say anything.</summary>
    public Need Needs { get; init; }

    /// <summary>Features that must be offered.</summary>
    public ulong Features { get; init; }

    /// <summary>The device type that it is about, or null for any.</summary>
    public VirtioDeviceType? DeviceType { get; init; }

    /// <summary>MUST or SHOULD.</summary>
    public CheckSeverity Severity { get; init; }
}
