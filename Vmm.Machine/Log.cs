using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Machine;

/// <summary>Every message of the machine; ids from 6000.</summary>
internal static partial class Log
{
    [LoggerMessage(6000, LogLevel.Debug, "{Step} done at {Milliseconds} ms")]
    public static partial void StepDone(this ILogger logger, string step, long milliseconds);

    [LoggerMessage(6001, LogLevel.Debug, "kernel {Path}: {Protocol}, 0x{Start:x} to 0x{End:x}, entry 0x{Entry:x}")]
    public static partial void KernelLoaded(this ILogger logger, string path, string protocol, ulong start, ulong end, ulong entry);

    [LoggerMessage(6002, LogLevel.Debug, "first guest instruction at {Milliseconds} ms after the start of the process")]
    public static partial void FirstInstruction(this ILogger logger, long milliseconds);

    [LoggerMessage(6003, LogLevel.Debug, "device {Id} at {Address}")]
    public static partial void DeviceAdded(this ILogger logger, string id, string address);

    [LoggerMessage(6004, LogLevel.Debug, "the vCPUs have ended: {Reason}")]
    public static partial void Ended(this ILogger logger, string reason);

    [LoggerMessage(6005, LogLevel.Information, "{Report}")]
    public static partial void GuestDied(this ILogger logger, string report);

    [LoggerMessage(6007, LogLevel.Warning, "{Id} gave up {Count} characters of output that nobody read")]
    public static partial void OutputLost(this ILogger logger, string id, int count);

    [LoggerMessage(6009, LogLevel.Error, "{Id} could not be taken from the guest")]
    public static partial void DeviceKept(this ILogger logger, string id, Exception reason);

    [LoggerMessage(6010, LogLevel.Error, "a device could not be closed")]
    public static partial void RemovalFailed(this ILogger logger, Exception reason);

    [LoggerMessage(6008, LogLevel.Debug, "standard input cannot be waited for ({Reason}): no input for {Id}")]
    public static partial void NoInput(this ILogger logger, string id, string reason);

    [LoggerMessage(6011, LogLevel.Error, "the worker of {Id} failed: the port takes and gives nothing any more")]
    public static partial void WorkerFailed(this ILogger logger, string id, Exception failure);

    [LoggerMessage(6012, LogLevel.Debug, "device {Id} had {QueueResets} resets of single queues and ignored {Mistakes} mistakes of drivers")]
    public static partial void DeviceEnded(this ILogger logger, string id, long queueResets, long mistakes);
}
