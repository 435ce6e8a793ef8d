using System;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Vmm.DeviceModel.Diagnostics;

/// <summary>A log that never throws: a line that cannot be written is lost, and whoever logs goes on.</summary>
/// <remarks>
/// Logs are written from inside guest accesses and from workers. There a full disk or a faulty provider must neither keep a vCPU inside its access
/// nor end a worker. Thread-safe if the log behind it is.
/// </remarks>
internal sealed class GuardedLogger : ILogger
{
    private readonly ILogger _inner;

    private GuardedLogger(ILogger inner) => _inner = inner;

    /// <summary>A log, guarded.</summary>
    /// <param name="log">The log.</param>
    public static ILogger Guard(ILogger log) => log is GuardedLogger or NullLogger ? log : new GuardedLogger(log);

    /// <summary>The log of a category, guarded; a log that keeps nothing where there is no factory.</summary>
    /// <param name="factory">Makes the log, or null.</param>
    /// <param name="category">The category's name.</param>
    public static ILogger Create(ILoggerFactory? factory, string category)
    {
        return factory is null ? NullLogger.Instance : new GuardedLogger(factory.CreateLogger(category));
    }

    /// <summary>The log of a type, guarded; a log that keeps nothing where there is no factory.</summary>
    /// <typeparam name="T">The type whose full name is the category.</typeparam>
    /// <param name="factory">Makes the log, or null.</param>
    public static ILogger Create<T>(ILoggerFactory? factory)
    {
        return factory is null ? NullLogger.Instance : new GuardedLogger(factory.CreateLogger<T>());
    }

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => _inner.BeginScope(state);

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel)
    {
        try
        {
            return _inner.IsEnabled(logLevel);
        }
        catch (Exception)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        try
        {
            _inner.Log(logLevel, eventId, state, exception, formatter);
        }
        catch (Exception)
        {
            // There is nobody left to tell.
        }
    }
}
