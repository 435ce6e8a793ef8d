using System;
using Vmm.Tests.Kvm;

namespace Vmm.Tests;

/// <summary>The commands that build/test gives to the tests outside the test platform.</summary>
internal static class Program
{
    public static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["kvm-usable"]:
                Console.WriteLine(KvmAvailability.WhyNot ?? "/dev/kvm runs guests");
                return KvmAvailability.WhyNot is null ? 0 : 1;
            case ["kvm", string results]:
                return KvmRun.Run(results, "") ? 0 : 1;
            case ["kvm", string results, string filter]:
                return KvmRun.Run(results, filter) ? 0 : 1;
            default:
                Console.Error.WriteLine("Vmm.Tests kvm-usable | kvm RESULTS.trx [FILTER]");
                return 2;
        }
    }
}
