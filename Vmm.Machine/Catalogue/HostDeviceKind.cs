using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Vmm.Machine.Host;
using Vmm.Pci;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;

namespace Vmm.Machine.Catalogue;

/// <summary>PCI devices of the host: <c>--device</c>. Their DMA reaches the whole of guest memory.</summary>
public sealed class HostDeviceKind : DeviceKind<HostDeviceOptions>
{
    private readonly Func<DeviceContext, VfioHost> _createHost;

    /// <summary>Devices that the host's kernel gives by VFIO.</summary>
    public HostDeviceKind()
        : this(static context => new VfioHost(context.Memory, context.Hypervisor?.HostDeviceFiles, context.LoggerFactory))
    {
    }

    /// <summary>Devices that somebody else gives.</summary>
    internal HostDeviceKind(Func<DeviceContext, VfioHost> createHost) => _createHost = createHost;

    /// <inheritdoc/>
    public override string Name => "device";

    /// <inheritdoc/>
    public override string Form => "path=FOLDER,...";

    /// <inheritdoc/>
    public override string Description =>
        "PCI device of the host by its folder in /sys/bus/pci/devices, bound to vfio-pci; p2p=on lets other such devices reach its BARs, "
        + "x_nv_gpudirect_clique=N too and says so to the guest, mmap=off has every access exit, "
        + "iommufd=on goes by /dev/iommu instead of the group, id=NAME; may be repeated";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Examples =>
    [
        "path=/sys/bus/pci/devices/0000:00:10.0",
        "path=/sys/bus/pci/devices/0000:00:11.0,x_nv_gpudirect_clique=3,p2p=on,mmap=off,iommufd=on,id=gpu",
    ];

    /// <inheritdoc/>
    public override IJsonTypeInfoResolver Json => HostDeviceJson.Default;

    /// <inheritdoc/>
    public override HostDeviceOptions? Parse(string text)
    {
        var words = OptionValue.Parse(Option, text, "path", "x_nv_gpudirect_clique", "p2p", "mmap", "iommufd", "id");
        return new HostDeviceOptions(words.Require("path"))
        {
            Id = words.Get("id"),
            GpuDirectClique = words.GetNumber("x_nv_gpudirect_clique", 0, 15),
            PeerToPeer = words.GetSwitch("p2p"),
            MapBars = words.GetSwitch("mmap", absent: true),
            Iommufd = words.GetSwitch("iommufd"),
        };
    }

    /// <inheritdoc/>
    protected override string? SubjectOf(HostDeviceOptions options) => options.Path;

    /// <summary>The device's address on the host, where the path ends in one.</summary>
    protected override string DefaultId(HostDeviceOptions options, int index)
    {
        string name = Path.GetFileName(options.Path.TrimEnd('/'));
        return name.Length == 0 ? base.DefaultId(options, index) : name;
    }

    /// <inheritdoc/>
    protected override PciFunction Create(HostDeviceOptions options, DeviceContext context)
    {
        VfioPciDevice device = context.Share(() => _createHost(context)).Attach(options.Path, options.Iommufd);
        try
        {
            CheckClique(options, device, context);
            return PassthroughFunction.Attach(device, new PassthroughFunctionOptions
            {
                Name = context.Id,
                GpuDirectClique = options.GpuDirectClique,
                PeerToPeer = options.PeerToPeer,
                MapBars = options.MapBars,
                ErrorReported = options.StopOnError
                    ? function => context.StopMachine($"{function.Name}: the device reported an uncorrectable error")
                    : null,
                RemovalRequested = context.RequestRemoval,
                LoggerFactory = context.LoggerFactory,
            });
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <summary>The members of a clique reach each other's BARs, so they have to share the I/O address space in which those are mapped.</summary>
    private void CheckClique(HostDeviceOptions options, VfioPciDevice device, DeviceContext context)
    {
        if (options.GpuDirectClique is { } clique
            && context.Functions.OfType<PassthroughFunction>()
                .FirstOrDefault(other => other.GpuDirectClique == clique && other.DmaMapper != device.Dma) is { } apart)
        {
            throw new MachineException(
                Name, options.Path,
                $"x_nv_gpudirect_clique={clique}: it cannot reach {apart.DeviceName}, since the two have I/O address spaces of their own");
        }
    }
}

/// <summary>The members of a host device's options.</summary>
[JsonSerializable(typeof(HostDeviceOptions))]
internal sealed partial class HostDeviceJson : JsonSerializerContext;
