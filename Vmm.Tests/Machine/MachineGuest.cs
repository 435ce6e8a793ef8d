using System;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Machine;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Machine;

/// <summary>
/// What a guest's drivers do to a root port and to the function behind it, by the machine's own address space: no vCPU runs, so tests choose each
/// step.
/// </summary>
internal sealed class MachineGuest(VirtualMachine machine, PciRootPort port) : IPciFunctionAccess
{
    private const uint PowerOff = 0x400;
    private const ulong Buffers = 32 << 20;

    private readonly GuestMemory _ram = machine.CreateDmaTarget().Memory;
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
        machine.MemorySpace.Write(Port + (uint)_slot, 2, 0x11f9);
        machine.MemorySpace.Write(Port + 4, 2, 6);
        WriteConfiguration(0x10, 4, (uint)Bar);
        WriteConfiguration(0x14, 4, 0);
        WriteConfiguration(4, 2, 2);
    }

    /// <summary>Takes the power away, as the answer to the attention button.</summary>
    public void Release()
    {
        Acknowledge();
        machine.MemorySpace.Write(Port + (uint)_slot, 2, 0x13f9 | PowerOff);
    }

    /// <summary>Slot Status as it is now.</summary>
    public uint SlotStatus => (uint)machine.MemorySpace.Read(Port + (uint)_slot + 2, 2);

    public uint ReadConfiguration(int offset, int width) => (uint)machine.MemorySpace.Read(Function + (uint)offset, width);

    public void WriteConfiguration(int offset, int width, uint value) => machine.MemorySpace.Write(Function + (uint)offset, width, value);

    public ulong GetBarLength(int bar) => bar == 0 && port.Secondary.Find(0) is { } function ? function.Bars[0].Size : 0;

    public ulong ReadBar(int bar, ulong offset, int width) => machine.MemorySpace.Read(Bar + offset, width);

    public void WriteBar(int bar, ulong offset, int width, ulong value) => machine.MemorySpace.Write(Bar + offset, width, value);

    public void EnableMessages(int count, Action<int> signalled) => throw new NotSupportedException();

    public void EnablePin(Action asserted) => throw new NotSupportedException();

    public void DisableInterrupts()
    {
    }

    public IDmaBuffer MapBuffer(int length)
    {
        ulong address = _nextBuffer;
        _nextBuffer += ((ulong)length + 0xfff) & ~0xffful;
        var buffer = new Buffer(_ram, address, length);
        buffer.Span.Clear();
        return buffer;
    }

    private void Acknowledge() => machine.MemorySpace.Write(Port + (uint)_slot + 2, 2, 0xffff);

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
