using System;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>Watches what the host tells of a device: uncorrectable errors, and that it wants the device back (VFIO-12).</summary>
internal sealed class DeviceEvents : IDisposable
{
    private readonly IPciDeviceBackend _backend;
    private readonly ILogger _logger;
    private readonly Worker _worker;
    private readonly EventFd?[] _watched = new EventFd?[2];

    /// <summary>Starts watching. A device that does not tell is not an error; one that refuses is said in the log.</summary>
    /// <exception cref="HostException">The process is out of descriptors.</exception>
    public DeviceEvents(IPciDeviceBackend backend, Action onError, Action onRequest, ILoggerFactory? loggers, ILogger logger)
    {
        _backend = backend;
        _logger = logger;
        _worker = new Worker($"vfio {backend.Name}", loggers);
        try
        {
            _watched[0] = Watch(PciInterruptIndex.Error, onError);
            _watched[1] = Watch(PciInterruptIndex.Request, onRequest);
            _worker.Start();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Unwatch(PciInterruptIndex.Error, _watched[0]);
        Unwatch(PciInterruptIndex.Request, _watched[1]);
        _worker.Dispose();
        foreach (EventFd? eventFd in _watched)
        {
            eventFd?.Dispose();
        }
    }

    private EventFd? Watch(PciInterruptIndex kind, Action callback)
    {
        if (_backend.GetInterrupt(kind).Count <= 0)
        {
            return null;
        }

        var eventFd = new EventFd();
        IDisposable? watch = null;
        try
        {
            watch = _worker.Watch(eventFd, callback);
            _backend.SetTriggers(kind, 0, [eventFd]);
            return eventFd;
        }
        catch (HostException e)
        {
            watch?.Dispose();
            eventFd.Dispose();
            Log.WatchRefused(_logger, e, _backend.Name, kind.ToString());
            return null;
        }
        catch
        {
            eventFd.Dispose();
            throw;
        }
    }

    private void Unwatch(PciInterruptIndex kind, EventFd? eventFd)
    {
        if (eventFd is null)
        {
            return;
        }

        try
        {
            _backend.DisableInterrupts(kind);
        }
        catch (HostException e)
        {
            Log.ReleaseFailed(_logger, e, _backend.Name, $"disabling the {kind} interrupt");
        }
    }
}
