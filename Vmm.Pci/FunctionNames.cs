using System.Globalization;
using Vmm.DeviceModel.Bus;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <summary>Names of the registers in the configuration space of one function: <c>config.command</c>, <c>config.msix.message_control</c>.</summary>
internal sealed class FunctionNames(PciFunction function) : IRegionNames
{
    public string Describe(ulong offset, int selected)
    {
        int at = (int)offset;
        bool isBridge = (function.ConfigurationSpace.Read(ConfigurationRegisters.HeaderType, 1) & 0x7f) == 1;
        string? name = at < ConfigurationRegisters.FirstCapability ? ConfigurationNames.OfHeader(at, isBridge) : OfCapability(at);
        return name is not null ? $"config.{name}" : string.Create(CultureInfo.InvariantCulture, $"config+0x{at:x}");
    }

    private string? OfCapability(int offset)
    {
        foreach (PciCapability capability in function.Capabilities)
        {
            if (offset >= capability.Offset && offset < capability.Offset + capability.Length && capability is not PciExtendedCapability)
            {
                return ConfigurationNames.OfCapability(capability.Id, capability.Offset, offset - capability.Offset);
            }
        }

        return null;
    }
}
