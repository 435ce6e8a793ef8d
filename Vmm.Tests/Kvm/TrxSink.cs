using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Xml.Linq;
using Xunit.Abstractions;

namespace Vmm.Tests.Kvm;

/// <summary>Says how each test went, as it ends, and keeps it for a TRX file.</summary>
internal sealed class TrxSink : LongLivedMarshalByRefObject, IMessageSink, IDisposable
{
    private static readonly XNamespace Schema = "http://microsoft.com/schemas/VisualStudio/TeamTest/2010";

    private readonly List<XElement> _results = [];
    private readonly ManualResetEventSlim _end = new();
    private int _passed;
    private int _failed;

    /// <summary>Whether no test failed.</summary>
    public bool IsGood => _failed == 0;

    public bool OnMessage(IMessageSinkMessage message)
    {
        switch (message)
        {
            case ITestStarting started:
                Console.WriteLine($"  Started {started.Test.DisplayName}");
                break;
            case ITestPassed passed:
                _passed++;
                Add("Passed", passed.Test.DisplayName, passed.ExecutionTime, passed.Output);
                break;
            case ITestSkipped skipped:
                Add("Skipped", skipped.Test.DisplayName, 0, skipped.Reason);
                break;
            case ITestFailed failed:
                _failed++;
                Add("Failed", failed.Test.DisplayName, failed.ExecutionTime, $"{Describe(failed)}\n{failed.Output}");
                break;
            case IErrorMessage error:
                AddFailure(error, "between tests");
                break;
            case ITestCleanupFailure cleanup:
                AddFailure(cleanup, $"end of {cleanup.Test.DisplayName}");
                break;
            case ITestClassCleanupFailure cleanup:
                AddFailure(cleanup, $"end of {cleanup.TestClass.Class.Name}");
                break;
            case ITestCollectionCleanupFailure cleanup:
                AddFailure(cleanup, $"end of {cleanup.TestCollection.DisplayName}");
                break;
            case ITestAssemblyFinished:
                _end.Set();
                break;
        }

        return true;
    }

    public void WaitForEnd() => _end.Wait();

    public void Save(string path)
    {
        var counters = new XElement(
            Schema + "Counters",
            new XAttribute("total", _results.Count),
            new XAttribute("executed", _passed + _failed),
            new XAttribute("passed", _passed),
            new XAttribute("failed", _failed));
        var summary = new XElement(Schema + "ResultSummary", new XAttribute("outcome", IsGood ? "Completed" : "Failed"), counters);
        new XDocument(new XElement(Schema + "TestRun", new XElement(Schema + "Results", _results), summary)).Save(path);
        Console.WriteLine($"Total tests: {_results.Count}\n     Passed: {_passed}\n     Failed: {_failed}");
    }

    public void Dispose() => _end.Dispose();

    private static string Describe(IFailureInformation failure)
    {
        return string.Join('\n', failure.ExceptionTypes.Select((type, i) => $"{type}: {failure.Messages[i]}\n{failure.StackTraces[i]}"));
    }

    private void AddFailure(IFailureInformation failure, string where)
    {
        _failed++;
        Add("Failed", where, 0, Describe(failure));
    }

    private void Add(string outcome, string name, decimal seconds, string text)
    {
        Console.WriteLine(
            $"  {outcome} {name} [{seconds.ToString("0.000", CultureInfo.InvariantCulture)} s]{(outcome == "Passed" ? "" : "\n" + text)}");
        _results.Add(new XElement(
            Schema + "UnitTestResult",
            new XAttribute("testName", name),
            new XAttribute("outcome", outcome == "Skipped" ? "NotExecuted" : outcome),
            new XAttribute("duration", TimeSpan.FromSeconds((double)seconds).ToString("c", CultureInfo.InvariantCulture)),
            new XElement(Schema + "Output", new XElement(Schema + "StdOut", new XCData(Clean(text))))));
    }

    /// <summary>Without what XML cannot hold.</summary>
    private static string Clean(string text) =>
        string.Concat(text.Select(static c => System.Xml.XmlConvert.IsXmlChar(c) ? c : '?')).Replace("]]>", "]] >", StringComparison.Ordinal);
}
