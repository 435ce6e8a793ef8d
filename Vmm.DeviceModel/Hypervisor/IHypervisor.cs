using Vmm.DeviceModel.Bus;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>The facets of a hypervisor that the devices of one machine need, together. Each facet can be had, and faked, by itself.</summary>
public interface IHypervisor
{
    /// <summary>Host memory that the guest reaches without an exit.</summary>
    IMemorySlots MemorySlots { get; }

    /// <summary>Writes that signal eventfds.</summary>
    IDoorbells Doorbells { get; }

    /// <summary>Messages from emulated devices.</summary>
    IMsiSink Msi { get; }

    /// <summary>Eventfds that become messages.</summary>
    IIrqRouting IrqRouting { get; }

    /// <summary>Wires of the interrupt controllers.</summary>
    IInterruptLines InterruptLines { get; }

    /// <summary>Devices of the host that the machine has.</summary>
    IHostDeviceFiles HostDeviceFiles { get; }
}
