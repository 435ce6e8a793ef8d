namespace Vmm.Conformance.Models;

/// <summary>The devices of this library that a run can make for itself.</summary>
public enum ModelKind
{
    /// <summary>A block device over a temporary file.</summary>
    Block,

    /// <summary>A network device whose packets come back.</summary>
    Net,

    /// <summary>An entropy device over /dev/urandom.</summary>
    Entropy,

    /// <summary>A console in memory.</summary>
    Console,
}
