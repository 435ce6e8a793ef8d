using Vmm.DeviceModel.Interrupts;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>The wires into the guest's interrupt controllers.</summary>
public interface IInterruptLines
{
    /// <summary>The level wire of a GSI. The hypervisor's wire knows one level: OR several sources with <see cref="SharedInterruptLine"/>.</summary>
    /// <param name="gsi">Global system interrupt, 0 to 23 on a PC with one I/O APIC.</param>
    IInterruptLine GetLine(int gsi);
}
