using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Extensions.Logging;

namespace Vmm.Cli;

/// <summary>The log of the command: lines on stderr.</summary>
internal static class Logging
{
    private const string Template = "{Timestamp:HH:mm:ss.fff} {Level:u3} {SourceContext}: {Message:lj}{NewLine}{Exception}";

    /// <summary>A factory that costs nothing until something is logged; null for no log at all.</summary>
    public static ILoggerFactory? Create(LogLevel level)
    {
        return level == LogLevel.None ? null : new LazyLoggerFactory(level, () => CreateSerilog(level));
    }

    // Not inlined: the assemblies of Serilog are loaded when this is compiled.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static SerilogLoggerFactory CreateSerilog(LogLevel level)
    {
        Logger logger = new LoggerConfiguration()
            .MinimumLevel.Is(ToSerilog(level))
            .WriteTo.Console(
                outputTemplate: Template, formatProvider: CultureInfo.InvariantCulture, standardErrorFromLevel: LogEventLevel.Verbose,
                theme: Serilog.Sinks.SystemConsole.Themes.ConsoleTheme.None)
            .CreateLogger();
        return new SerilogLoggerFactory(logger, dispose: true);
    }

    private static LogEventLevel ToSerilog(LogLevel level)
    {
        return level switch
        {
            LogLevel.Trace => LogEventLevel.Verbose,
            LogLevel.Debug => LogEventLevel.Debug,
            LogLevel.Information => LogEventLevel.Information,
            LogLevel.Warning => LogEventLevel.Warning,
            LogLevel.Error => LogEventLevel.Error,
            _ => LogEventLevel.Fatal,
        };
    }
}
