using System;
using System.Collections.Generic;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;

namespace Vmm.Machine;

/// <summary>The RAM of a machine: one host mapping, visible where the layout says.</summary>
internal sealed class MachineMemory : IDisposable
{
    private readonly HostMemory _host;
    private readonly List<GuestMemoryRegion> _regions = [];
    private readonly List<MemoryClaim> _claims = [];
    private readonly AddressSpace _space;

    /// <summary>Allocates RAM and shows it to the guest.</summary>
    /// <param name="options">How much and of what kind.</param>
    /// <param name="layout">Where.</param>
    /// <param name="space">Where the guest sees it.</param>
    /// <exception cref="MachineException">The host has not got it.</exception>
    public MachineMemory(MemoryOptions options, MemoryLayout layout, AddressSpace space)
    {
        _space = space;
        Guest = new GuestMemory(space.Domain);
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
                Add(range.Address, offset, range.Length);
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
    public GuestMemory Guest { get; }

    /// <summary>Takes RAM from the guest and the devices, and gives it back to the host.</summary>
    public void Dispose()
    {
        foreach (MemoryClaim claim in _claims)
        {
            _space.Remove(claim);
        }

        foreach (GuestMemoryRegion region in _regions)
        {
            Guest.Remove(region);
        }

        _claims.Clear();
        _regions.Clear();
        _host.Dispose();
    }

    private void Add(ulong address, ulong offset, ulong length)
    {
        var claim = new MemoryClaim(address == 0 ? "ram below 4 GiB" : "ram above 4 GiB", _host, offset, length);
        _space.Add(claim, address);
        _claims.Add(claim);
        _regions.Add(Guest.Add(address, _host, offset, length));
    }
}
