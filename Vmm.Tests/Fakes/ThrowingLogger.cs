using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Tests.Fakes;

/// <summary>A log whose every line fails, as one does whose disk is full.</summary>
public sealed class ThrowingLogger : ILoggerFactory, ILogger
{
    /// <summary>How often somebody tried to log.</summary>
    public int Attempts { get; private set; }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => this;

    /// <inheritdoc/>
    public void AddProvider(ILoggerProvider provider)
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => true;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        Attempts++;
        throw new System.IO.IOException("no space left on device");
    }
}
