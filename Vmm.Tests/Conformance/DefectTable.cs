using System;
using System.Collections;
using System.Collections.Generic;

namespace Vmm.Tests.Conformance;

/// <summary>Defects, one line each.</summary>
internal sealed class DefectTable : IEnumerable<Defect>
{
    private readonly List<Defect> _defects = [];

    public void Add(string check, Action<DefectiveAccess> breaks) => Add(check, "blk", breaks);

    public void Add(string check, string model, Action<DefectiveAccess> breaks) => _defects.Add(new Defect(check, model, breaks));

    public IEnumerator<Defect> GetEnumerator() => _defects.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
