using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;

namespace Vmm.Machine;

/// <summary>The RAM of a machine: one host mapping, visible where the layout says.</summary>
internal sealed class MachineMemory : IDisposable
{
    private readonly HostMemory _host;
    private readonly SystemRam _ram;

    /// <summary>Allocates RAM and shows it to the guest.</summary>
    /// <param name="options">Size and kind.</param>
    /// <param name="layout">Where it lies.</param>
    /// <param name="space">Where the guest sees it.</param>
    /// <exception cref="MachineException">The host has not got it.</exception>
    public MachineMemory(MemoryOptions options, MemoryLayout layout, AddressSpace space)
    {
        _ram = new SystemRam(space);
        try
        {
            _host = options.Shared || options.HugePages
                ? HostMemory.AllocateShared("vmm-ram", layout.Size, options.HugePages, options.TransparentHugePages)
                : HostMemory.AllocateAnonymous(layout.Size, options.TransparentHugePages);
        }
        catch (HostException e)
        {
            throw new MachineException("memory", MemorySize.Word(layout.Size), e.Message, e);
        }

        try
        {
            ulong offset = 0;
            foreach (GuestRange range in layout.Ram)
            {
                _ram.Add(range.Address, _host, offset, range.Length, range.Address == 0 ? "ram below 4 GiB" : "ram above 4 GiB");
                offset += range.Length;
            }
        }
        catch (HostException e)
        {
            Dispose();
            throw new MachineException("memory", MemorySize.Word(layout.Size), e.Message, e);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>RAM as devices and the loader see it.</summary>
    public GuestMemory Guest => _ram.Memory;

    /// <summary>Takes RAM from the guest and the devices, and gives it back to the host.</summary>
    public void Dispose()
    {
        _ram.Dispose();
        _host.Dispose();
    }
}
