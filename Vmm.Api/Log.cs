using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Api;

/// <summary>Every message of the API; ids from 7000.</summary>
internal static partial class Log
{
    [LoggerMessage(7000, LogLevel.Error, "{Path} could not be answered")]
    public static partial void RequestFailed(this ILogger logger, string path, Exception failure);
}
