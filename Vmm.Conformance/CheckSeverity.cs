namespace Vmm.Conformance;

/// <summary>How the specification puts what a check looks at.</summary>
public enum CheckSeverity
{
    /// <summary>MUST: a device that does otherwise is wrong.</summary>
    Requirement,

    /// <summary>SHOULD: a device that does otherwise is told so, and has not failed.</summary>
    Recommendation,
}
