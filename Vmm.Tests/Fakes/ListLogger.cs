using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.Extensions.Logging;

namespace Vmm.Tests.Fakes;

/// <summary>Keeps what is logged, for any number of threads.</summary>
public sealed class ListLogger : ILoggerFactory, ILogger
{
    private readonly List<(LogLevel Level, EventId Id, string Text)> _entries = [];

    private readonly List<Exception> _exceptions = [];

    /// <summary>The exceptions that came with it, in order.</summary>
    public IReadOnlyList<Exception> Exceptions
    {
        get
        {
            lock (_entries)
            {
                return _exceptions.ToList();
            }
        }
    }

    /// <summary>What was logged, in order.</summary>
    public IReadOnlyList<(LogLevel Level, EventId Id, string Text)> Entries
    {
        get
        {
            lock (_entries)
            {
                return _entries.ToList();
            }
        }
    }

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
        lock (_entries)
        {
            _entries.Add((logLevel, eventId, formatter(state, exception)));
            if (exception is not null)
            {
                _exceptions.Add(exception);
            }
        }
    }
}
