using System;
using System.Collections.Generic;

namespace Vmm.Tests.Fuzz;

/// <summary>Does a list of operations on a machine: in process, or as a guest.</summary>
internal interface IFuzzRunner : IDisposable
{
    /// <summary>Does them all; returns when they are done.</summary>
    /// <param name="operations">What.</param>
    /// <param name="progress">One a vCPU: says where each is.</param>
    void Run(IReadOnlyList<FuzzOperation> operations, IReadOnlyList<FuzzProgress> progress);
}
