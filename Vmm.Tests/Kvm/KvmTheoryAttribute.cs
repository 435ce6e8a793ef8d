namespace Vmm.Tests.Kvm;

/// <summary>A theory that needs a usable /dev/kvm; elsewhere skipped with the reason.</summary>
public sealed class KvmTheoryAttribute : TheoryAttribute
{
    public KvmTheoryAttribute()
    {
        Skip = KvmAvailability.SkipReason;
    }
}
