using System;
using System.Collections.Generic;
using System.Threading;

namespace Vmm.Tests.Fuzz;

/// <summary>Does operations by calling the bus, with one thread a vCPU.</summary>
internal sealed class InProcessRunner(FuzzMachine machine) : IFuzzRunner
{
    private readonly FuzzExecutor _executor = new(machine);

    public void Run(IReadOnlyList<FuzzOperation> operations, IReadOnlyList<FuzzProgress> progress)
    {
        if (progress.Count == 1)
        {
            RunThose(operations, 0, 1, progress[0]);
            return;
        }

        Exception? thrown = null;
        var second = new Thread(() =>
        {
            try
            {
                RunThose(operations, 1, 2, progress[1]);
            }
            catch (Exception e)
            {
                thrown = e;
            }
        })
        {
            IsBackground = true,
            Name = "fuzz-vcpu1",
        };
        second.Start();
        RunThose(operations, 0, 2, progress[0]);
        second.Join();
        if (thrown is not null)
        {
            throw new InvalidOperationException("the second vCPU's access threw", thrown);
        }
    }

    public void Dispose()
    {
    }

    private void RunThose(IReadOnlyList<FuzzOperation> operations, int vcpu, int vcpus, FuzzProgress progress)
    {
        for (int i = 0; i < operations.Count; i++)
        {
            FuzzOperation operation = operations[i];
            if (operation.Vcpu % vcpus == vcpu)
            {
                progress.Begin(i);
                _executor.Execute(operation);
            }
        }

        progress.End();
    }
}
