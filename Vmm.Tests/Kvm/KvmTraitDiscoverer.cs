using System.Collections.Generic;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Vmm.Tests.Kvm;

/// <summary>Puts every test of <see cref="KvmFactAttribute"/> and <see cref="KvmTheoryAttribute"/> into the category Kvm.</summary>
public sealed class KvmTraitDiscoverer : ITraitDiscoverer
{
    /// <summary>As the test framework finds it: by its full name and its assembly.</summary>
    internal const string Name = "Vmm.Tests.Kvm.KvmTraitDiscoverer";

    /// <summary>The assembly of <see cref="Name"/>.</summary>
    internal const string Assembly = "Vmm.Tests";

    public IEnumerable<KeyValuePair<string, string>> GetTraits(IAttributeInfo traitAttribute) => [new("Category", "Kvm")];
}
