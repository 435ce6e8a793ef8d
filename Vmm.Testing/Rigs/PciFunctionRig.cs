using System;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Testing.Memory;
using Vmm.Testing.Seams;

namespace Vmm.Testing.Rigs;

/// <summary>One PCI function on a bus of recording seams, with addresses for its BARs and a driver's way to it.</summary>
public sealed class PciFunctionRig : IDisposable
{
    /// <summary>Makes the function and puts it on the bus.</summary>
    /// <param name="create">Makes the function over the memory that it reaches.</param>
    /// <param name="bus">A bus, disposed with the rig; a new one without it.</param>
    public PciFunctionRig(Func<DmaTarget, PciFunction> create, PciBusRig? bus = null)
    {
        Bus = bus ?? new PciBusRig();
        try
        {
            Access = Bus.Add(create);
        }
        catch
        {
            Bus.Dispose();
            throw;
        }
    }

    /// <summary>The bus and its seams.</summary>
    public PciBusRig Bus { get; }

    /// <summary>The driver's way to the function: configuration space, BARs, interrupts that can be waited for, memory for DMA.</summary>
    public InProcessFunctionAccess Access { get; }

    /// <summary>The function.</summary>
    public PciFunction Function => Access.Function;

    /// <summary>Guest RAM.</summary>
    public GuestRam Ram => Bus.Ram;

    /// <summary>Messages that the function sent.</summary>
    public RecordingMsiSink Messages => Bus.Messages;

    /// <summary>The wire of the function's pin.</summary>
    /// <exception cref="InvalidOperationException">It has none.</exception>
    public RecordingInterruptLine Wire => Access.Wire ?? throw new InvalidOperationException($"{Function.Name} has no pin");

    /// <summary>Lets the function master the bus, or ends that.</summary>
    /// <param name="on">Bus Master Enable.</param>
    public void SetBusMaster(bool on)
    {
        uint command = Access.ReadConfiguration(4, 2);
        Access.WriteConfiguration(4, 2, on ? command | 4 : command & ~4u);
    }

    /// <summary>Disposes the function, its bus and guest RAM.</summary>
    public void Dispose()
    {
        Access.Dispose();
        Bus.Dispose();
    }
}
