using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.Kvm;
using Vmm.Pci.Host;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;

namespace Vmm.Machine;

/// <summary>The host's devices that the guest has. Their DMA reaches the whole of guest memory.</summary>
/// <remarks>
/// Thread-safe: the host can take a device back at any time, which a task does. Lock order: the lock here is held while nothing is called.
/// </remarks>
internal sealed class MachineHostDevices : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<PassthroughFunction> _functions = [];
    private readonly List<Task> _removals = [];
    private readonly VfioHost _host;
    private readonly Action<VmStopReason> _stop;
    private readonly ILoggerFactory? _loggers;
    private readonly ILogger _logger;

    /// <summary>Takes no device yet.</summary>
    /// <param name="host">Gives the devices, and has them reach the machine's memory.</param>
    /// <param name="stop">Called when a device's error ends the machine.</param>
    /// <param name="loggers">Where the devices log.</param>
    /// <param name="logger">The machine's.</param>
    public MachineHostDevices(VfioHost host, Action<VmStopReason> stop, ILoggerFactory? loggers, ILogger logger)
    {
        (_host, _stop, _loggers, _logger) = (host, stop, loggers, logger);
    }

    /// <summary>The functions that are there now.</summary>
    public IReadOnlyList<PassthroughFunction> Functions
    {
        get
        {
            lock (_lock)
            {
                return _functions.ToArray();
            }
        }
    }

    /// <summary>Takes a device and puts it on a bus.</summary>
    /// <param name="options">The device.</param>
    /// <param name="bus">The bus.</param>
    /// <param name="slot">Its device number there.</param>
    /// <exception cref="MachineException">The host does not give it; the reason says what helps.</exception>
    public void Add(HostDeviceOptions options, PciBus bus, int slot)
    {
        PassthroughFunction function = Attach(options);
        try
        {
            bus.Add(function, slot);
        }
        catch
        {
            function.Dispose();
            throw;
        }

        lock (_lock)
        {
            _functions.Add(function);
        }

        _logger.DeviceAdded($"{function.Name} ({function.DeviceName} of the host)", function.Address.ToString());
    }

    /// <summary>Gives every device back, the last one first. The vCPUs have ended.</summary>
    public void Dispose()
    {
        foreach (PassthroughFunction function in Functions.Reverse())
        {
            Remove(function);
        }

        Task[] removals;
        lock (_lock)
        {
            removals = [.. _removals];
        }

        Task.WaitAll(removals);
    }

    private PassthroughFunction Attach(HostDeviceOptions options)
    {
        try
        {
            VfioPciDevice device = _host.Attach(options.Path, options.Iommufd);
            try
            {
                CheckClique(options, device);
                return PassthroughFunction.Attach(device, new PassthroughFunctionOptions
                {
                    Name = options.Id,
                    GpuDirectClique = options.GpuDirectClique,
                    PeerToPeer = options.PeerToPeer,
                    MapBars = options.MapBars,
                    ErrorReported = options.StopOnError ? StopMachine : null,
                    RemovalRequested = RemoveLater,
                    LoggerFactory = _loggers,
                });
            }
            catch
            {
                device.Dispose();
                throw;
            }
        }
        catch (VfioException e)
        {
            // The device names itself first; so do we.
            string reason = e.Message.StartsWith(options.Path + ": ", StringComparison.Ordinal) ? e.Message[(options.Path.Length + 2)..] : e.Message;
            throw new MachineException("device", options.Path, reason, e);
        }
    }

    /// <summary>The members of a clique reach each other's BARs, so they have to share the I/O address space in which those are mapped.</summary>
    private void CheckClique(HostDeviceOptions options, VfioPciDevice device)
    {
        if (options.GpuDirectClique is { } clique
            && Functions.FirstOrDefault(other => other.GpuDirectClique == clique && other.DmaMapper != device.Dma) is { } apart)
        {
            throw new MachineException(
                "device", options.Path,
                $"x_nv_gpudirect_clique={clique}: it cannot reach {apart.DeviceName}, since the two have I/O address spaces of their own");
        }
    }

    private void StopMachine(PassthroughFunction function)
    {
        _stop(new VmStopReason(VmStopKind.HostError, $"{function.Name}: the device reported an uncorrectable error"));
    }

    /// <summary>Called on the function's own thread, which cannot wait for its end.</summary>
    private void RemoveLater(PassthroughFunction function)
    {
        lock (_lock)
        {
            if (_functions.Contains(function))
            {
                _removals.Add(Task.Run(() => Remove(function)));
            }
        }
    }

    private void Remove(PassthroughFunction function)
    {
        lock (_lock)
        {
            if (!_functions.Remove(function))
            {
                return;
            }
        }

        try
        {
            function.Bus!.Remove(function);
            function.Dispose();
        }
        catch (HostException e)
        {
            _logger.HostDeviceKept(function.Name, e);
        }
    }
}
