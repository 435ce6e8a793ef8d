using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.Extensions.Logging;

namespace Vmm.Testing.Seams;

/// <summary>A log that is kept in memory, whatever its category. Thread-safe.</summary>
public sealed class ListLogger : ILoggerFactory, ILogger
{
    private readonly List<(LogLevel Level, EventId Id, string Text)> _entries = [];
    private readonly List<Exception> _exceptions = [];

    /// <summary>Exceptions that came with a line, in order.</summary>
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

    /// <summary>Lines in order.</summary>
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
