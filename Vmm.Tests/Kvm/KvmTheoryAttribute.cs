using Xunit.Sdk;

namespace Vmm.Tests.Kvm;

/// <summary>Like <see cref="KvmFactAttribute"/>, with data.</summary>
[TraitDiscoverer(KvmTraitDiscoverer.Name, KvmTraitDiscoverer.Assembly)]
public sealed class KvmTheoryAttribute : TheoryAttribute, ITraitAttribute
{
    public KvmTheoryAttribute()
    {
        Skip = KvmAvailability.SkipReason;
    }
}
