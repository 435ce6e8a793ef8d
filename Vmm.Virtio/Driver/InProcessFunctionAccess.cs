using System;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;
using Vmm.Virtio.Interop;

namespace Vmm.Virtio.Driver;

/// <summary>
/// Reaches a function of ours on a root bus of its own: configuration space by ECAM, BARs by address, messages caught as they are sent (DRV-1).
/// </summary>
/// <remarks>Accesses from any thread. Enabling and disabling interrupts is the driver's, from one thread at a time. No lock.</remarks>
public sealed class InProcessFunctionAccess : IPciFunctionAccess, IDisposable
{
    private const int Device = 1;
    private const ulong MessageAddress = 0xfee0_0000;
    private const ulong FirstBar = 0x8000_0000;
    private const ulong FirstIova = 0x10_0000;

    private readonly AddressSpace _memory;
    private readonly PciHostBridge _bridge;
    private readonly GuestMemory _guest;
    private readonly ulong _configuration;
    private volatile Action<int>? _message;
    private volatile Action? _pin;

    /// <summary>Puts a function on a bus, places its memory BARs and has it decode.</summary>
    /// <param name="create">Makes the function over the memory that it reaches; the function is disposed with this object.</param>
    /// <param name="iovaLength">Bytes of device addresses to give out.</param>
    public InProcessFunctionAccess(Func<DmaTarget, PciFunction> create, ulong iovaLength = 1 << 30)
    {
        ArgumentNullException.ThrowIfNull(create);
        var domain = new AccessDomain();
        _guest = new GuestMemory();
        _memory = new AddressSpace(new AddressSpaceOptions { Domain = domain });
        _bridge = new PciHostBridge(new PciHostBridgeOptions { Memory = _memory, MsiSink = new Sink(this), InterruptLines = new Lines(this) });
        _bridge.ClaimConfigurationAccess();
        if (!GuestRange.TryCreate(FirstIova, iovaLength, out GuestRange range))
        {
            throw new ArgumentOutOfRangeException(nameof(iovaLength));
        }

        Iovas = new IovaSpace([range]);
        Function = create(new DmaTarget(_guest));
        _bridge.Root.Add(Function, Device);
        _configuration = _bridge.EcamBase + ((ulong)Device << 15);
        ulong next = FirstBar;
        foreach (PciBar bar in Function.Bars.Where(static bar => bar.Kind is PciBarKind.Memory32 or PciBarKind.Memory64))
        {
            next = (next + bar.Size - 1) & ~(bar.Size - 1);
            Function.SetBarAddress(bar.Index, next);
            next += bar.Size;
        }

        WriteConfiguration(4, 2, (uint)PciCommand.MemorySpace);
    }

    /// <summary>The function.</summary>
    public PciFunction Function { get; }

    /// <summary>Addresses that are mapped for the function.</summary>
    public IovaSpace Iovas { get; }

    /// <inheritdoc/>
    public int MessageVectors => Function.Msix is { } msix ? (int)(ReadConfiguration(msix.Offset + 2, 2) & 0x7ff) + 1 : 0;

    /// <inheritdoc/>
    public bool HasPin => ReadConfiguration(0x3d, 1) is >= 1 and <= 4;

    /// <inheritdoc/>
    public uint ReadConfiguration(int offset, int width) => (uint)_memory.Read(_configuration + (uint)offset, width);

    /// <inheritdoc/>
    public void WriteConfiguration(int offset, int width, uint value) => _memory.Write(_configuration + (uint)offset, width, value);

    /// <inheritdoc/>
    public ulong GetBarLength(int bar)
    {
        return Function.Bars.FirstOrDefault(b => b.Index == bar && b.Kind is PciBarKind.Memory32 or PciBarKind.Memory64)?.Size ?? 0;
    }

    /// <inheritdoc/>
    public ulong ReadBar(int bar, ulong offset, int width) => _memory.Read(Function.GetBarAddress(bar) + offset, width);

    /// <inheritdoc/>
    public void WriteBar(int bar, ulong offset, int width, ulong value) => _memory.Write(Function.GetBarAddress(bar) + offset, width, value);

    /// <inheritdoc/>
    public void EnableMessages(int count, Action<int> signalled)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MessageVectors);
        MsixCapability msix = Function.Msix!;
        _message = signalled;
        uint table = ReadConfiguration(msix.Offset + 4, 4);
        for (uint i = 0; i < count; i++)
        {
            ulong entry = (table & ~7u) + (i * MsixCapability.EntryLength);
            WriteBar((int)(table & 7), entry, 4, MessageAddress);
            WriteBar((int)(table & 7), entry + 4, 4, 0);
            WriteBar((int)(table & 7), entry + 8, 4, i);
            WriteBar((int)(table & 7), entry + 12, 4, 0);
        }

        WriteConfiguration(msix.Offset + 2, 2, 0x8000);
    }

    /// <inheritdoc/>
    public void EnablePin(Action asserted)
    {
        _pin = asserted;
        WriteConfiguration(4, 2, ReadConfiguration(4, 2) & ~(uint)PciCommand.InterruptDisable);
    }

    /// <inheritdoc/>
    public void DisableInterrupts()
    {
        if (Function.Msix is { } msix)
        {
            WriteConfiguration(msix.Offset + 2, 2, 0);
        }

        WriteConfiguration(4, 2, ReadConfiguration(4, 2) | (uint)PciCommand.InterruptDisable);
        _message = null;
        _pin = null;
    }

    /// <inheritdoc/>
    public IDmaBuffer MapBuffer(int length) => new HostDmaBuffer(_guest, Iovas, length);

    /// <summary>Takes the function off the bus and disposes it. The driver is closed before.</summary>
    public void Dispose()
    {
        _bridge.Root.Remove(Function);
        Function.Dispose();
    }

    private sealed class Sink(InProcessFunctionAccess owner) : IMsiSink
    {
        public bool Send(in MsiMessage message, uint requesterId)
        {
            owner._message?.Invoke((int)message.Data);
            return true;
        }
    }

    private sealed class Lines(InProcessFunctionAccess owner) : IInterruptLines, IInterruptLine
    {
        public IInterruptLine GetLine(int gsi) => this;

        public void SetLevel(bool asserted)
        {
            if (asserted)
            {
                owner._pin?.Invoke();
            }
        }
    }
}
