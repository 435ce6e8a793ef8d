using System;
using System.Runtime.ExceptionServices;
using Vmm.DeviceModel;

namespace Vmm.Tests.Fuzz;

/// <summary>Sees every exception of the process when it is thrown, also those that are caught: a guest can cause none.</summary>
/// <remarks>Only one at a time; nothing else that throws may run meanwhile.</remarks>
internal sealed class ExceptionWatch : IDisposable
{
    [ThreadStatic]
    private static bool _expected;

    private volatile string? _first;

    public ExceptionWatch() => AppDomain.CurrentDomain.FirstChanceException += OnException;

    /// <summary>The first one with its stack, or null.</summary>
    public string? First => _first;

    /// <summary>Runs the fuzzer's own checks, whose exceptions are verdicts.</summary>
    public static void Expecting(Action action)
    {
        _expected = true;
        try
        {
            action();
        }
        finally
        {
            _expected = false;
        }
    }

    public void Forget() => _first = null;

    public void Dispose() => AppDomain.CurrentDomain.FirstChanceException -= OnException;

    private void OnException(object? sender, FirstChanceExceptionEventArgs thrown)
    {
        if (_expected
            || _first is not null
            || thrown.Exception is HostException { Message: var message } && message.Contains(FuzzSeams.Refusal, StringComparison.Ordinal))
        {
            return;
        }

        string stack = Environment.StackTrace;
        if (stack.Contains("Vmm.", StringComparison.Ordinal))
        {
            _first ??= $"{thrown.Exception.GetType().Name}: {thrown.Exception.Message}\n{stack}";
        }
    }
}
