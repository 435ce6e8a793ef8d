using System;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Capabilities;

/// <summary>The PCI Express capability, version 2, of an endpoint or a port (PCIe base, 7.5.3; PCI-13).</summary>
/// <remarks>
/// With function-level reset, a write of Initiate FLR resets the whole function as a reset of the bus does, when the access that
/// carries it has ended and before the vCPU goes on. The bit reads zero always. A function with this capability has 4 KiB of configuration space.
/// </remarks>
public class PciExpressCapability : PciCapability
{
    // 2.5 GT/s, one lane: a link that nobody has to believe to be fast, and that needs no further capability to describe its speed.
    private const uint LinkSpeedAndWidth = 0x11;
    private const uint InitiateFunctionLevelReset = 0x8000;

    private readonly bool _followsBus;

    /// <summary>Describes an endpoint. On a root bus it is a root complex integrated endpoint, behind a port an endpoint with a link.</summary>
    /// <param name="functionLevelReset">The guest can reset the function on its own.</param>
    public PciExpressCapability(bool functionLevelReset = true)
        : this(PciExpressDeviceType.RootComplexIntegratedEndpoint, functionLevelReset)
    {
        _followsBus = true;
    }

    /// <summary>Describes a function of a certain type.</summary>
    /// <param name="type">What it is.</param>
    /// <param name="functionLevelReset">The guest can reset the function on its own; endpoints only.</param>
    /// <exception cref="ArgumentException">An unknown type, or a port with function-level reset.</exception>
    public PciExpressCapability(PciExpressDeviceType type, bool functionLevelReset)
        : base(CapabilityIds.PciExpress, PciExpressRegisters.Length)
    {
        if (type is not (PciExpressDeviceType.Endpoint or PciExpressDeviceType.RootPort or PciExpressDeviceType.RootComplexIntegratedEndpoint))
        {
            throw new ArgumentOutOfRangeException(nameof(type), type, "a type that is modelled");
        }

        if (functionLevelReset && type == PciExpressDeviceType.RootPort)
        {
            throw new ArgumentException("ports have no function-level reset (PCIe base, 6.6.2)", nameof(functionLevelReset));
        }

        DeviceType = type;
        HasFunctionLevelReset = functionLevelReset;
        Define(PciExpressRegisters.Flags, 2, FlagsOf(type));

        // Role-based error reporting; payloads of 128 bytes; no latencies that matter.
        Define(PciExpressRegisters.DeviceCapabilities, 4, 0x8000 | (functionLevelReset ? 1u << 28 : 0));
        Define(PciExpressRegisters.DeviceControl, 2, 0x2810, writable: 0x781f);
        Define(PciExpressRegisters.DeviceStatus, 2, 0, writeOneToClear: 0xf);

        // Completion timeouts can be disabled, which is demanded of whoever sends requests; there are none here.
        Define(PciExpressRegisters.DeviceCapabilities2, 4, 0x10);
        Define(PciExpressRegisters.DeviceControl2, 2, 0, writable: 0x10);
        DefineLink(type);
    }

    /// <summary>What the function says it is.</summary>
    public PciExpressDeviceType DeviceType { get; private set; }

    /// <summary>The guest can reset the function on its own.</summary>
    public bool HasFunctionLevelReset { get; }

    /// <inheritdoc/>
    public override string Description => "PCI Express: " + TypeName + (HasFunctionLevelReset ? ", function-level reset" : "");

    private string TypeName => DeviceType switch
    {
        PciExpressDeviceType.Endpoint => "endpoint",
        PciExpressDeviceType.RootPort => "root port",
        PciExpressDeviceType.RootComplexIntegratedEndpoint => "root complex integrated endpoint",
        _ => DeviceType.ToString(),
    };

    /// <inheritdoc/>
    protected internal override void OnWritten(int offset, in ConfigurationWrite write)
    {
        if (offset == PciExpressRegisters.DeviceControl && HasFunctionLevelReset && (write.Written & InitiateFunctionLevelReset) != 0)
        {
            List!.Owner.ScheduleReset();
        }
    }

    /// <inheritdoc/>
    protected internal override void OnAttached()
    {
        if (_followsBus)
        {
            DeviceType = List!.Owner.IsOnRootBus ? PciExpressDeviceType.RootComplexIntegratedEndpoint : PciExpressDeviceType.Endpoint;
            bool link = DeviceType == PciExpressDeviceType.Endpoint;
            Redefine(PciExpressRegisters.Flags, 2, FlagsOf(DeviceType));
            Redefine(PciExpressRegisters.LinkCapabilities, 4, link ? LinkCapabilitiesValue : 0);
            Redefine(PciExpressRegisters.LinkStatus, 2, link ? LinkSpeedAndWidth : 0);
            Redefine(PciExpressRegisters.LinkCapabilities2, 4, link ? 2u : 0);
            Redefine(PciExpressRegisters.LinkControl2, 2, link ? 1u : 0);
        }
    }

    // ASPM Optionality Compliance, without ASPM.
    private protected const uint LinkCapabilitiesValue = LinkSpeedAndWidth | (1u << 22);

    private static uint FlagsOf(PciExpressDeviceType type) => 2 | ((uint)type << 4);

    private void DefineLink(PciExpressDeviceType type)
    {
        bool link = type != PciExpressDeviceType.RootComplexIntegratedEndpoint;
        Define(PciExpressRegisters.LinkCapabilities, 4, link ? LinkCapabilitiesValue : 0);
        Define(PciExpressRegisters.LinkStatus, 2, link ? LinkSpeedAndWidth : 0);
        Define(PciExpressRegisters.LinkCapabilities2, 4, link ? 2u : 0);
        Define(PciExpressRegisters.LinkControl2, 2, link ? 1u : 0);
    }

    private void Redefine(int offset, int width, uint value)
    {
        int at = Offset + offset;
        List!.Space.Redefine(at & ~3, ByteLanes.Of(at, width).Bits, value << ((at & 3) * 8));
    }
}
