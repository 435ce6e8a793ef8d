using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Tests.Conformance;
using Vmm.Tests.Nested;
using Vmm.Tests.Vfio.Passthrough;
using Xunit.Abstractions;

[assembly: TestCollectionOrderer("Vmm.Tests.LongestFirst", "Vmm.Tests")]

namespace Vmm.Tests;

/// <summary>
/// Classes run beside each other, as many as there are processors: those that take minutes begin, lest one of them is left alone at the end.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly Type[] Longest =
    [
        typeof(PassthroughTests), typeof(TransferTests), typeof(HotPlugTests), typeof(BootTests), typeof(NetTests), typeof(NetControlTests),
        typeof(DriverTests),
        typeof(VfioConformanceTests), typeof(DiskTests), typeof(LifeCycleTests), typeof(VfioDeviceTests), typeof(PassthroughViewTests),
        typeof(HostileDeviceTests), typeof(QemuTests), typeof(DefectTests),
    ];

    private static readonly Dictionary<string, int> Ranks = Longest.Index()
        .ToDictionary(static item => item.Item.FullName!, static item => item.Index);

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections)
    {
        // The framework names a class's own collection after it.
        return testCollections.OrderBy(static collection => Ranks.GetValueOrDefault(collection.DisplayName.Split(' ')[^1], Longest.Length));
    }
}
