using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Tests.Fuzz;

/// <summary>Keeps the first thing that was logged as an error: devices, workers and handlers log what they threw.</summary>
internal sealed class FuzzErrors : ILoggerFactory, ILogger
{
    private volatile string? _first;

    public string? First => _first;

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public void Dispose()
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel < LogLevel.Error && exception is null)
        {
            return;
        }

        // A refusal of ours is a host failure that is reported as it should be.
        if (exception?.Message.Contains(FuzzSeams.Refusal, StringComparison.Ordinal) != true)
        {
            _first ??= $"logged: {formatter(state, exception)}\n{exception}";
        }
    }
}
