using System;
using System.Threading;
using Microsoft.Extensions.Logging;

namespace Vmm.Cli;

/// <summary>A logger factory that makes the real one at the first message that is to be written: a run that logs nothing starts without it.</summary>
internal sealed class LazyLoggerFactory : ILoggerFactory
{
    private readonly LogLevel _minimum;
    private readonly Lazy<ILoggerFactory> _inner;

    public LazyLoggerFactory(LogLevel minimum, Func<ILoggerFactory> create)
    {
        _minimum = minimum;
        _inner = new Lazy<ILoggerFactory>(create, LazyThreadSafetyMode.ExecutionAndPublication);
    }

    public ILogger CreateLogger(string categoryName) => new LazyLogger(this, categoryName);

    public void AddProvider(ILoggerProvider provider) => _inner.Value.AddProvider(provider);

    public void Dispose()
    {
        if (_inner.IsValueCreated)
        {
            _inner.Value.Dispose();
        }
    }

    private sealed class LazyLogger(LazyLoggerFactory factory, string category) : ILogger
    {
        private ILogger? _logger;

        private ILogger Inner => _logger ??= factory._inner.Value.CreateLogger(category);

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
        {
            return null;
        }

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None && logLevel >= factory._minimum;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                Inner.Log(logLevel, eventId, state, exception, formatter);
            }
        }
    }
}
