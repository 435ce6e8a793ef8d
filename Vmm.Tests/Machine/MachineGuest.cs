using System;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Layout;
using Vmm.Pci.Access;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Machine;

/// <summary>
/// What a guest's drivers do to a root port and to the function behind it, by the machine's own address space: no vCPU runs, so tests choose each
/// step.
/// </summary>
internal sealed class MachineGuest(AddressSpace memory, GuestMemory ram, PciRootPort port) : IPciFunctionAccess
{
    private const uint PowerOff = 0x400;
    private const ulong Buffers = 32 << 20;

    private readonly int _slot = port.Capabilities.OfType<PciExpressCapability>().Single().Offset + 0x18;
    private ulong _nextBuffer = Buffers;

    public int MessageVectors => 0;

    public bool HasPin => false;

    private ulong Port => MemoryLayout.EcamStart + ((ulong)port.Address.RequesterId << 12);

    private ulong Function => MemoryLayout.EcamStart + ((ulong)port.SecondaryBusNumber << 20);

    private ulong Bar => port.MemoryWindow.Base;

    /// <summary>Takes note of the slot's events and gives it power, the port decoding and the function its first BAR and DMA.</summary>
    public void PowerOn()
    {
        Acknowledge();
        memory.Write(Port + (uint)_slot, 2, 0x11f9);
        memory.Write(Port + 4, 2, 6);
        WriteConfiguration(0x10, 4, (uint)Bar);
        WriteConfiguration(0x14, 4, 0);
        WriteConfiguration(4, 2, 2);
    }

    /// <summary>Takes the power away, as the answer to the attention button.</summary>
    public void Release()
    {
        Acknowledge();
        memory.Write(Port + (uint)_slot, 2, 0x13f9 | PowerOff);
    }

    /// <summary>Slot Status as it is now.</summary>
    public uint SlotStatus => (uint)memory.Read(Port + (uint)_slot + 2, 2);

    public uint ReadConfiguration(int offset, int width) => (uint)memory.Read(Function + (uint)offset, width);

    public void WriteConfiguration(int offset, int width, uint value) => memory.Write(Function + (uint)offset, width, value);

    public ulong GetBarLength(int bar) => bar == 0 && port.Secondary.Find(0) is { } function ? function.Bars[0].Size : 0;

    public ulong ReadBar(int bar, ulong offset, int width) => memory.Read(Bar + offset, width);

    public void WriteBar(int bar, ulong offset, int width, ulong value) => memory.Write(Bar + offset, width, value);

    public void EnableMessages(int count, Action<int> signalled) => throw new NotSupportedException();

    public void EnablePin(Action asserted) => throw new NotSupportedException();

    public void DisableInterrupts()
    {
    }

    public IDmaBuffer MapBuffer(int length)
    {
        ulong address = _nextBuffer;
        _nextBuffer += ((ulong)length + 0xfff) & ~0xffful;
        var buffer = new Buffer(ram, address, length);
        buffer.Span.Clear();
        return buffer;
    }

    private void Acknowledge() => memory.Write(Port + (uint)_slot + 2, 2, 0xffff);

    private sealed class Buffer(GuestMemory ram, ulong address, int length) : IDmaBuffer
    {
        public ulong Iova => address;

        public Span<byte> Span
        {
            get
            {
                ram.Current.TryGetWindow(address, length, out GuestWindow window).Should().BeTrue();
                return window.Span;
            }
        }

        public void Dispose()
        {
        }
    }
}
