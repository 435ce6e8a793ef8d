using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Pci;

/// <summary>A function with an MSI-X table and pending bits at chosen places, decoding at fixed addresses.</summary>
internal sealed class MsixRig
{
    public const ulong Bar0 = 0xc000_0000;
    public const ulong Bar2 = 0xc100_0000;

    public MsixRig(int vectors = 4, int tableBar = 0, uint tableOffset = 0x1000, int pendingBar = 0, uint pendingOffset = 0x800, bool decode = true)
    {
        Msix = new MsixCapability(vectors, tableBar, tableOffset, pendingBar, pendingOffset);
        PciBarRegion table = Msix.CreateTableRegion();
        PciBarRegion pending = Msix.CreatePendingRegion();
        Function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Pin = Vmm.Pci.Interrupts.InterruptPin.A });
        for (int bar = 0; bar <= 2; bar += 2)
        {
            PciBarRegion[] regions = [.. tableBar == bar ? new[] { table } : [], .. pendingBar == bar ? new[] { pending } : []];
            Function.AddBar(new PciBar(bar, PciBarKind.Memory32, 0x1_0000, regions));
        }

        Function.AddCapability(Msix);
        Rig.Add(Function);
        Table = (tableBar == 0 ? Bar0 : Bar2) + tableOffset;
        Pending = (pendingBar == 0 ? Bar0 : Bar2) + pendingOffset;
        Rig.Write(0x10, 4, (uint)Bar0);
        Rig.Write(0x18, 4, (uint)Bar2);
        Rig.Write(4, 2, decode ? 6u : 0);
    }

    public PciRig Rig { get; } = new();

    public PciFunction Function { get; }

    public MsixCapability Msix { get; }

    public ulong Table { get; }

    public ulong Pending { get; }

    public int Control => Msix.Offset + 2;

    public void Enable(bool functionMask = false) => Rig.Write(Control, 2, functionMask ? 0xc000u : 0x8000u);

    public void Disable() => Rig.Write(Control, 2, 0);

    public void Program(int vector, ulong address, uint data, bool masked = false)
    {
        Write(vector, 0, (uint)address);
        Write(vector, 4, (uint)(address >> 32));
        Write(vector, 8, data);
        Mask(vector, masked);
    }

    public void Mask(int vector, bool masked) => Write(vector, 12, masked ? 1u : 0);

    public void Write(int vector, int field, uint value) => Rig.Memory.Write(Table + (ulong)(16 * vector) + (ulong)field, 4, value);

    public uint Read(int vector, int field) => (uint)Rig.Memory.Read(Table + (ulong)(16 * vector) + (ulong)field, 4);

    public ulong PendingBits(int quadWord = 0) => Rig.Memory.Read(Pending + (ulong)(8 * quadWord), 8);
}
