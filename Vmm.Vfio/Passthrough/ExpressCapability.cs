using System.Collections.Generic;
using Vmm.Pci.Access;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Vfio.Passthrough;

/// <summary>
/// A device's PCI Express capability: its registers are the device's, but for the type and the link, which are as the guest's topology has them
/// (VFIO-6), and Initiate FLR, which resets the function as we do it (VFIO-10).
/// </summary>
internal sealed class ExpressCapability(DeviceCapability place, uint flags, bool canReset) : PciCapability(0x10, place.Room)
{
    public const int DeviceControl = 0x08;
    public const uint InitiateFlr = 0x8000;

    private const int Flags = 0x02;
    private const int DeviceCapabilities = 0x04;
    private const int LinkCapabilities = 0x0c;
    private const int LinkControl = 0x10;
    private const int LinkStatus = 0x12;
    private const int LinkCapabilities2 = 0x2c;
    private const int LinkControl2 = 0x30;
    private const int LinkStatus2 = 0x32;
    private const uint FlrCapable = 1u << 28;
    private const uint TypeMask = 0xf0;
    private const uint SlowestLink = 0x11;

    private readonly DevicePortType _type = (DevicePortType)((flags & TypeMask) >> 4);

    public override string Description => "PCI Express, the device's; type, link and reset are emulated";

    /// <summary>What the guest reads instead of the device's bits.</summary>
    /// <param name="onRootBus">True on a root bus, false behind a port.</param>
    public IEnumerable<ExpressBits> BitsFor(bool onRootBus)
    {
        var bits = new List<ExpressBits>();
        if (!canReset)
        {
            bits.Add(new ExpressBits(DeviceCapabilities, 4, 0, FlrCapable));
        }

        if (onRootBus && _type == DevicePortType.Endpoint)
        {
            // What is integrated into the root complex has no link.
            bits.Add(new ExpressBits(Flags, 2, (uint)DevicePortType.RootComplexIntegratedEndpoint << 4, TypeMask));
            bits.Add(new ExpressBits(LinkCapabilities, 4, 0, uint.MaxValue));
            bits.Add(new ExpressBits(LinkControl, 2, 0, 0xffff));
            bits.Add(new ExpressBits(LinkStatus, 2, 0, 0xffff));
            bits.Add(new ExpressBits(LinkCapabilities2, 4, 0, uint.MaxValue));
            bits.Add(new ExpressBits(LinkControl2, 2, 0, 0xffff));
            bits.Add(new ExpressBits(LinkStatus2, 2, 0, 0xffff));
        }
        else if (!onRootBus && _type == DevicePortType.RootComplexIntegratedEndpoint)
        {
            // Behind a port there is a link: the slowest that there is, so that nobody has to describe it further.
            bits.Add(new ExpressBits(Flags, 2, (uint)DevicePortType.Endpoint << 4, TypeMask));
            bits.Add(new ExpressBits(LinkCapabilities, 4, SlowestLink, uint.MaxValue));
            bits.Add(new ExpressBits(LinkControl, 2, 0, 0xffff));
            bits.Add(new ExpressBits(LinkStatus, 2, SlowestLink, 0xffff));
        }

        bits.RemoveAll(field => field.Offset + field.Width > Length);
        return bits;
    }

    /// <inheritdoc/>
    protected override void OnWritten(int offset, in ConfigurationWrite write)
    {
        if (offset == DeviceControl && canReset && (write.Written & InitiateFlr) != 0)
        {
            ((PassthroughFunction)Function!).ResetByGuest();
        }
    }

    /// <inheritdoc/>
    protected override void OnAttached() => ((PassthroughFunction)Function!).EmulateExpress(this);
}
