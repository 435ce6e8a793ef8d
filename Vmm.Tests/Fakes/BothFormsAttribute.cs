using System;
using System.Collections.Generic;
using System.Reflection;
using Xunit.Sdk;

namespace Vmm.Tests.Fakes;

/// <summary>Runs a case on both forms of rings: the form comes first, then the values.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class BothFormsAttribute(params object[] values) : DataAttribute
{
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[RingForm.Split, .. values], [RingForm.Packed, .. values]];
}
