using Xunit.Sdk;

namespace Vmm.Tests.Kvm;

/// <summary>A test that needs a usable /dev/kvm, of the category Kvm: build/test runs it in the lab where this machine has none.</summary>
[TraitDiscoverer(KvmTraitDiscoverer.Name, KvmTraitDiscoverer.Assembly)]
public sealed class KvmFactAttribute : FactAttribute, ITraitAttribute
{
    public KvmFactAttribute()
    {
        Skip = KvmAvailability.SkipReason;
    }
}
