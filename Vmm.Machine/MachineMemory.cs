using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;

namespace Vmm.Machine;

/// <summary>The RAM of a machine: one host mapping, visible below and above the 32-bit hole.</summary>
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
                ? HostMemory.AllocateShared("vmm-ram", layout.Size, options.HugePages)
                : HostMemory.AllocateAnonymous(layout.Size);
        }
        catch (HostException e)
        {
            throw new MachineException("memory", MemorySize.Word(layout.Size), e.Message, e);
        }

        try
        {
            _ram.Add(0, _host, 0, layout.LowLength, "ram below 4 GiB");
            if (layout.HighLength != 0)
            {
                _ram.Add(MemoryLayout.HoleEnd, _host, layout.LowLength, layout.HighLength, "ram above 4 GiB");
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
