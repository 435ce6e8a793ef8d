namespace Vmm.Tests.Fuzz;

/// <summary>What lies on both sides of a guest's RAM in the host.</summary>
internal enum GuardKind
{
    /// <summary>A pattern that is looked at now and then: a write outside of RAM is a failure that can be reduced.</summary>
    Pattern,

    /// <summary>Pages that cannot be touched: a read outside of RAM ends the process.</summary>
    NoAccess,
}
