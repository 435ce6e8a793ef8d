namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>Which driver a lying device is given.</summary>
internal enum DriverKind
{
    Raw,
    Block,
    Net,
    Console,
    Entropy,
}
