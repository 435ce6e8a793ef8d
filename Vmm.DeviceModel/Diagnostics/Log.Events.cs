using System;
using Microsoft.Extensions.Logging;

namespace Vmm.DeviceModel.Diagnostics;

/// <content>The log messages of workers: event ids 1030 to 1039.</content>
internal static partial class Log
{
    [LoggerMessage(1030, LogLevel.Error, "worker {Worker} ended because a callback failed")]
    public static partial void WorkerFaulted(ILogger logger, Exception exception, string worker);

    [LoggerMessage(1031, LogLevel.Error, "worker {Worker}: a handler of its fault failed")]
    public static partial void WorkerFaultHandlerFailed(ILogger logger, Exception exception, string worker);
}
