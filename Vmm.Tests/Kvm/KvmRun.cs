using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Threading;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Vmm.Tests.Kvm;

/// <summary>Runs the tests of the category Kvm in this process, without the test platform: that takes minutes to start in the lab.</summary>
internal static class KvmRun
{
    /// <summary>Runs those whose full name contains the filter, and writes a TRX file.</summary>
    /// <returns>Whether none failed, and any was there unless a filter may have left them all out.</returns>
    public static bool Run(string results, string filter)
    {
        Assembly assembly = typeof(KvmRun).Assembly;
        using var framework = new XunitTestFramework(new NullMessageSink());
        var options = new FrameworkOptions();
        List<ITestCase> cases;
        using (ITestFrameworkDiscoverer discoverer = framework.GetDiscoverer(Reflector.Wrap(assembly)))
        {
            cases = [.. Types(assembly).SelectMany(type => Discover(discoverer, type, options)).Where(test => IsWanted(test, filter))];
        }

        using var sink = new TrxSink();
        using (ITestFrameworkExecutor executor = framework.GetExecutor(assembly.GetName()))
        {
            executor.RunTests(cases, sink, options);
            sink.WaitForEnd();
        }

        sink.Save(results);
        return sink.IsGood && (cases.Count > 0 || filter.Length > 0);
    }

    /// <summary>Classes with such a test: only these are looked through, for data of theories takes long to make.</summary>
    private static IEnumerable<Type> Types(Assembly assembly)
    {
        return assembly.GetTypes().Where(static type => type.GetMethods().Any(static method =>
            method.CustomAttributes.Any(
                static attribute => attribute.AttributeType == typeof(KvmFactAttribute) || attribute.AttributeType == typeof(KvmTheoryAttribute))));
    }

    private static List<ITestCase> Discover(ITestFrameworkDiscoverer discoverer, Type type, FrameworkOptions options)
    {
        using var sink = new DiscoverySink();
        discoverer.Find(type.FullName, includeSourceInformation: false, sink, options);
        return sink.WaitForCases();
    }

    private static bool IsWanted(ITestCase test, string filter)
    {
        return test.Traits.TryGetValue("Category", out List<string>? categories) && categories.Contains("Kvm")
            && $"{test.TestMethod.TestClass.Class.Name}.{test.TestMethod.Method.Name}".Contains(filter, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>The framework's own defaults.</summary>
    private sealed class FrameworkOptions : ITestFrameworkDiscoveryOptions, ITestFrameworkExecutionOptions
    {
        private readonly Dictionary<string, object?> _values = [];

        public TValue GetValue<TValue>(string name) => _values.TryGetValue(name, out object? value) ? (TValue)value! : default!;

        public void SetValue<TValue>(string name, TValue value) => _values[name] = value;
    }

    private sealed class DiscoverySink : LongLivedMarshalByRefObject, IMessageSink, IDisposable
    {
        private readonly List<ITestCase> _cases = [];
        private readonly ManualResetEventSlim _end = new();

        public bool OnMessage(IMessageSinkMessage message)
        {
            if (message is ITestCaseDiscoveryMessage found)
            {
                _cases.Add(found.TestCase);
            }
            else if (message is IDiscoveryCompleteMessage)
            {
                _end.Set();
            }

            return true;
        }

        public List<ITestCase> WaitForCases()
        {
            _end.Wait();
            return _cases;
        }

        public void Dispose() => _end.Dispose();
    }
}
