using System;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>A passed-through function on a bus with recording seams, driven as a guest would.</summary>
internal sealed class VfioRig : IDisposable
{
    public const ulong Bar0 = 0xc000_0000;

    public VfioRig(FakePciDevice device, PassthroughFunctionOptions? options = null)
    {
        Device = device;
        Function = PassthroughFunction.Attach(device, options);
        Rig.Add(Function);
    }

    public PciRig Rig { get; } = new();

    public FakePciDevice Device { get; }

    public PassthroughFunction Function { get; }

    /// <summary>
    /// A network card as they are: registers, table and pending bits on pages of their own, pin, MSI, MSI-X, PM and Express with FLR.
    /// </summary>
    public static FakePciDevice Card(int vectors = 4, bool canGrow = false)
    {
        return new FakePciDevice()
            .AddBar(0, 0x4, 0x4000, [new RegionArea(0, 0x4000)])
            .AddInterrupt(PciInterruptIndex.Pin, 1)
            .AddInterrupt(PciInterruptIndex.Msi, 4)
            .AddInterrupt(PciInterruptIndex.Msix, vectors, canGrow)
            .SetPin(1)
            .SetCapabilities(
                (0x40, 0x01, [0x03, 0x06, 0x08, 0, 0, 0]),
                (0x50, 0x05, FakePciDevice.Msi(2, masking: true)),
                (0x70, 0x11, FakePciDevice.Msix(vectors, 0x2000, 0x3000)),
                (0x80, 0x10, Express(0x0002)));
    }

    /// <summary>The body of a PCI Express capability of version 2 with FLR and a link.</summary>
    public static byte[] Express(ushort flags)
    {
        byte[] body = new byte[0x3a];
        BitConverter.TryWriteBytes(body.AsSpan(0), flags);
        BitConverter.TryWriteBytes(body.AsSpan(2), 0x1000_8fc0u);
        BitConverter.TryWriteBytes(body.AsSpan(0x0a), 0x0040_0c42u);
        BitConverter.TryWriteBytes(body.AsSpan(0x10), (ushort)0x1042);
        return body;
    }

    public uint Read(int offset, int width) => Rig.Read(offset, width);

    public void Write(int offset, int width, uint value) => Rig.Write(offset, width, value);

    /// <summary>BAR 0 at <see cref="Bar0"/>, decoding and bus mastering on.</summary>
    public VfioRig Enable()
    {
        Write(0x10, 4, (uint)Bar0);
        Write(4, 2, 6);
        return this;
    }

    /// <summary>Programs an entry of the MSI-X table at 0x2000 of BAR 0.</summary>
    public void Program(int vector, uint data, bool masked = false)
    {
        ulong entry = Bar0 + 0x2000 + (ulong)(vector * 16);
        Rig.Memory.Write(entry, 8, 0xfee0_0000);
        Rig.Memory.Write(entry + 8, 4, data);
        Rig.Memory.Write(entry + 12, 4, masked ? 1u : 0);
    }

    public void Dispose()
    {
        if (Function.Bus is not null)
        {
            Rig.Bridge.Root.Remove(Function);
        }

        Function.Dispose();
    }
}
