using System;
using System.Diagnostics.CodeAnalysis;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;

namespace Vmm.Pci.Host;

/// <summary>Configuration space in memory: 4 KiB a function, 1 MiB a bus (PCIe base, 7.2.2; PCI-2).</summary>
/// <remarks>An 8-byte access is two 4-byte ones, lower half first.</remarks>
internal sealed class EcamRegion(PciHostBridge bridge) : IRegionHandler, IFaultContainment, IRegionRouter
{
    public ulong Read(ulong offset, int width)
    {
        PciFunction? function = Find(offset);
        if (function is null)
        {
            return ulong.MaxValue;
        }

        return function.BlockingConfiguration is null ? Read(function, offset, width) : ReadBlocking(function, offset, width);
    }

    public void Write(ulong offset, int width, ulong value)
    {
        PciFunction? function = Find(offset);
        if (function is null)
        {
            return;
        }

        if (function.BlockingConfiguration is null)
        {
            Write(function, offset, width, value);
        }
        else
        {
            WriteBlocking(function, offset, width, value);
        }
    }

    /// <summary>
    /// The exception is the affair of the function that was accessed. Fencing each access here instead would cost all of them what a fence costs.
    /// </summary>
    public bool TryContain(ulong offset, Exception failure)
    {
        // One that has left its bus meanwhile is past caring.
        Find(offset)?.Fault(failure, (int)offset & 0xfff);
        return true;
    }

    public bool TryRoute(ulong offset, [NotNullWhen(true)] out string? device, [NotNullWhen(true)] out IRegionNames? names, out ulong inside)
    {
        PciFunction? function = Find(offset);
        device = function?.Name;
        names = function?.Names;
        inside = offset & 0xfff;
        return function is not null;
    }

    private static ulong Read(PciFunction function, ulong offset, int width)
    {
        int register = (int)offset & 0xfff;
        if (width > 4)
        {
            return function.ReadFromBus(register, 4) | ((ulong)function.ReadFromBus(register + 4, 4) << 32);
        }

        return function.ReadConfiguration(register, width);
    }

    private static void Write(PciFunction function, ulong offset, int width, ulong value)
    {
        int register = (int)offset & 0xfff;
        if (width <= 4)
        {
            function.WriteConfiguration(register, width, (uint)value);
            return;
        }

        function.WriteFromBus(register, 4, (uint)value);
        function.WriteFromBus(register + 4, 4, (uint)(value >> 32));
    }

    /// <summary>The same out of the epoch. Apart, so that those who do not wait pay for no scope.</summary>
    private ulong ReadBlocking(PciFunction function, ulong offset, int width)
    {
        using BlockingScope scope = bridge.Root.Memory.Domain.Block(function.BlockingConfiguration!);
        return Read(function, offset, width);
    }

    private void WriteBlocking(PciFunction function, ulong offset, int width, ulong value)
    {
        using BlockingScope scope = bridge.Root.Memory.Domain.Block(function.BlockingConfiguration!);
        Write(function, offset, width, value);
    }

    private PciFunction? Find(ulong offset) => bridge.Find((int)(offset >> 20), (int)(offset >> 12) & 0xff);
}
