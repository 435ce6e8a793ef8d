using Microsoft.Extensions.Logging;

namespace Vmm.Machine.Events;

/// <summary>The messages of the event monitor; they share the ids of the machine's.</summary>
internal static partial class Log
{
    [LoggerMessage(6013, LogLevel.Warning, "{Count} events were not written: their reader was too slow, or is gone")]
    public static partial void EventsLost(this ILogger logger, long count);
}
