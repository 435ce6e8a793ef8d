namespace Vmm.Conformance;

/// <summary>What came of a check.</summary>
public enum CheckVerdict
{
    /// <summary>The device does what is asked.</summary>
    Pass,

    /// <summary>It does not, or the check did not end.</summary>
    Fail,

    /// <summary>It does not follow a recommendation.</summary>
    Advice,

    /// <summary>The check says nothing about this device; the reason is given.</summary>
    Skip,
}
