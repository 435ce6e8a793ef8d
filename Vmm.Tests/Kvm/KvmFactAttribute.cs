namespace Vmm.Tests.Kvm;

/// <summary>A test that needs a usable /dev/kvm; elsewhere skipped with the reason.</summary>
public sealed class KvmFactAttribute : FactAttribute
{
    public KvmFactAttribute()
    {
        Skip = KvmAvailability.SkipReason;
    }
}
