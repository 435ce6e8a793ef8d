using System;

namespace Vmm.Conformance;

/// <summary>What the way to a function lets through as it is. A kernel that lends a function out keeps some of it to itself.</summary>
[Flags]
public enum TargetReach
{
    /// <summary>Registers behind BARs, and configuration space as the kernel presents it.</summary>
    None = 0,

    /// <summary>BAR registers and the Command register decide what BAR accesses reach.</summary>
    Decoding = 1,

    /// <summary>The MSI-X table and the message control word are the function's own.</summary>
    MessageTable = 2,

    /// <summary>Nobody has used the function since it was powered on.</summary>
    PowerOn = 4,

    /// <summary>Everything: a function in process.</summary>
    All = Decoding | MessageTable | PowerOn,
}
