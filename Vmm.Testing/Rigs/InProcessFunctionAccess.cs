using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;
using Vmm.Pci.Spec;
using Vmm.Testing.Memory;
using Vmm.Testing.Seams;

namespace Vmm.Testing.Rigs;

/// <summary>
/// Reaches a function of ours as its driver does: configuration space by ECAM, BARs by their addresses in the memory and the port space, messages and
/// the pin where they arrive (DRV-1).
/// </summary>
/// <remarks>
/// Accesses from any thread. Interrupts are enabled and disabled from one thread at a time; one mechanism is heard at a time, as one alone works.
/// What the function is not given here, an address for a BAR above all, its driver does not get at: reads give all-ones.
/// </remarks>
public sealed class InProcessFunctionAccess : IPciFunctionAccess, IDisposable
{
    private const int Device = 1;
    private const ulong FirstIova = 0x10_0000;
    private const int ControlOffset = 2;
    private const uint MsixEnable = 0x8000;
    private const uint MsiEnable = 1;
    private const int ExpressDeviceCapabilities = 4;
    private const int ExpressDeviceControl = 8;
    private const uint FunctionLevelReset = 1u << 28;
    private const uint InitiateFunctionLevelReset = 0x8000;
    private const int BarRegisters = 6;

    private readonly InProcessBus _bus;
    private readonly GuestMemoryMapper _mapper;
    private readonly bool _owns;
    private readonly int _gsi;
    private IDisposable? _listener;
    private RecordingInterruptLine? _wire;

    /// <summary>Puts a function on a root bus of its own, gives its BARs addresses and has it decode.</summary>
    /// <param name="create">Makes the function over the memory that it reaches; the function is disposed with this object.</param>
    /// <param name="iovaLength">Bytes of device addresses to give out.</param>
    /// <exception cref="PciResourceException">The BARs are larger than the bus has room for.</exception>
    public InProcessFunctionAccess(Func<DmaTarget, PciFunction> create, ulong iovaLength = 1 << 30)
    {
        ArgumentNullException.ThrowIfNull(create);
        _bus = CreateBus(iovaLength);
        _mapper = new GuestMemoryMapper(_bus.Memory);
        _owns = true;
        Function = create(new DmaTarget(_bus.Memory));
        _bus.Bridge.Root.Add(Function, Device);
        _bus.Bridge.Root.AssignResources();
        _gsi = StartDecoding();
    }

    /// <summary>Reaches a function on a bus that is there, and has it decode. The function stays whose it is.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="function">A function on it, whose BARs have their addresses (<see cref="PciBus.AssignResources"/>).</param>
    /// <exception cref="ArgumentException">The function is on no bus of the bridge.</exception>
    public InProcessFunctionAccess(InProcessBus bus, PciFunction function)
    {
        ArgumentNullException.ThrowIfNull(bus);
        ArgumentNullException.ThrowIfNull(function);
        (_bus, Function) = (bus, function);
        _mapper = new GuestMemoryMapper(bus.Memory);
        if (bus.Bridge.Find(function.Address) != function)
        {
            throw new ArgumentException($"{function.Name} is not on the bus", nameof(function));
        }

        if ((ushort)ReadConfiguration(0, 2) != function.Identity.VendorId)
        {
            throw new ArgumentException("the bridge has not claimed configuration accesses, or does not pass them on", nameof(bus));
        }

        _gsi = StartDecoding();
    }

    /// <summary>The function.</summary>
    public PciFunction Function { get; }

    /// <summary>Addresses that are mapped for the function.</summary>
    public IovaSpace Iovas => _bus.Iovas;

    /// <summary>The wire of the function's pin, or null if it has none that can be heard.</summary>
    public RecordingInterruptLine? Wire => HasPin ? _bus.Lines![_gsi] : null;

    /// <inheritdoc/>
    /// <remarks>Those of MSI-X.</remarks>
    public int MessageVectors => Function.Msix is { } msix ? (int)(ReadConfiguration(msix.Offset + ControlOffset, 2) & 0x7ff) + 1 : 0;

    /// <summary>Messages that the function asks for with MSI; 0 if it has none.</summary>
    public int MsiMessages => Function.Msi is { } msi ? 1 << (int)((ReadConfiguration(msi.Offset + ControlOffset, 2) >> 1) & 7) : 0;

    /// <inheritdoc/>
    public bool HasPin => _bus.Lines is not null && ReadConfiguration(0x3d, 1) is >= 1 and <= 4;

    private ulong Configuration => _bus.Bridge.EcamBase + ((ulong)Function.Address.RequesterId << 12);

    /// <inheritdoc/>
    public uint ReadConfiguration(int offset, int width) => (uint)_bus.Bridge.Root.Memory.Read(Configuration + (uint)offset, width);

    /// <inheritdoc/>
    public void WriteConfiguration(int offset, int width, uint value) => _bus.Bridge.Root.Memory.Write(Configuration + (uint)offset, width, value);

    /// <inheritdoc/>
    public ulong GetBarLength(int bar) => Find(bar) is { } found && SpaceOf(found) is not null ? found.Size : 0;

    /// <inheritdoc/>
    /// <remarks>All-ones where nothing decodes. An access of 8 bytes to ports throws an <see cref="ArgumentException"/>: there is none.</remarks>
    public ulong ReadBar(int bar, ulong offset, int width) =>
        Find(bar) is { } found && SpaceOf(found) is { } space
            ? space.Read(Function.GetBarAddress(bar) + offset, Checked(found, width))
            : ulong.MaxValue >> (64 - (8 * width));

    /// <inheritdoc/>
    /// <remarks>Goes nowhere where nothing decodes. An access of 8 bytes to ports throws an <see cref="ArgumentException"/>: there is none.</remarks>
    public void WriteBar(int bar, ulong offset, int width, ulong value)
    {
        if (Find(bar) is { } found && SpaceOf(found) is { } space)
        {
            space.Write(Function.GetBarAddress(bar) + offset, Checked(found, width), value);
        }
    }

    /// <inheritdoc/>
    public void EnableMessages(int count, Action<int> signalled)
    {
        ArgumentNullException.ThrowIfNull(signalled);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MessageVectors);
        ulong address = Hear(signalled);
        MsixCapability msix = Function.Msix!;
        uint table = ReadConfiguration(msix.Offset + 4, 4);
        for (uint i = 0; i < count; i++)
        {
            ulong entry = (table & ~7u) + (i * MsixCapability.EntryLength);
            WriteBar((int)(table & 7), entry, 4, (uint)address);
            WriteBar((int)(table & 7), entry + 4, 4, address >> 32);
            WriteBar((int)(table & 7), entry + 8, 4, i);
            WriteBar((int)(table & 7), entry + 12, 4, 0);
        }

        WriteConfiguration(msix.Offset + ControlOffset, 2, MsixEnable);
    }

    /// <summary>Enables MSI-X with the first vectors, to be waited for.</summary>
    /// <param name="count">Vectors, 1 to <see cref="MessageVectors"/>.</param>
    /// <returns>One for each vector.</returns>
    public IReadOnlyList<CountingVector> EnableMessages(int count)
    {
        CountingVector[] vectors = CreateVectors(count);
        EnableMessages(count, vector => Count(vectors, vector));
        return vectors;
    }

    /// <summary>Enables MSI.</summary>
    /// <param name="count">Messages, 1, 2, 4, 8, 16 or 32 and at most <see cref="MsiMessages"/>.</param>
    /// <param name="signalled">Told the message's number; called on any thread, must not block.</param>
    public void EnableMsi(int count, Action<int> signalled)
    {
        ArgumentNullException.ThrowIfNull(signalled);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MsiMessages);
        if (!int.IsPow2(count))
        {
            throw new ArgumentException($"MSI has 1, 2, 4, 8, 16 or 32 messages, not {count}", nameof(count));
        }

        ulong address = Hear(signalled);
        int msi = Function.Msi!.Offset;
        uint control = ReadConfiguration(msi + ControlOffset, 2) & ~0x71u;
        bool is64Bit = (control & 0x80) != 0;
        WriteConfiguration(msi + ControlOffset, 2, control);
        WriteConfiguration(msi + 4, 4, (uint)address);
        if (is64Bit)
        {
            WriteConfiguration(msi + 8, 4, (uint)(address >> 32));
        }

        WriteConfiguration(msi + (is64Bit ? 12 : 8), 2, 0);
        WriteConfiguration(msi + ControlOffset, 2, control | ((uint)int.Log2(count) << 4) | MsiEnable);
    }

    /// <summary>Enables MSI with messages that can be waited for.</summary>
    /// <param name="count">Messages, 1, 2, 4, 8, 16 or 32 and at most <see cref="MsiMessages"/>.</param>
    /// <returns>One for each message.</returns>
    public IReadOnlyList<CountingVector> EnableMsi(int count)
    {
        CountingVector[] vectors = CreateVectors(count);
        EnableMsi(count, vector => Count(vectors, vector));
        return vectors;
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">There is no pin to be heard.</exception>
    public void EnablePin(Action asserted)
    {
        ArgumentNullException.ThrowIfNull(asserted);
        RecordingInterruptLine wire = Wire ?? throw new InvalidOperationException($"{Function.Name} has no pin that can be heard");
        StopListening();
        _wire = wire;
        _listener = wire.Listen(asserted);
        WriteConfiguration(4, 2, ReadConfiguration(4, 2) & ~(uint)PciCommand.InterruptDisable);
    }

    /// <summary>Delivers the INTx pin, to be waited for.</summary>
    public CountingVector EnablePin()
    {
        var vector = new CountingVector();
        EnablePin(vector.Signal);
        return vector;
    }

    /// <summary>An end of interrupt: whoever listens to the pin's wire is told again if it is still asserted.</summary>
    public void PinServed() => _wire?.Acknowledge();

    /// <inheritdoc/>
    public void DisableInterrupts()
    {
        if (Function.Msix is { } msix)
        {
            WriteConfiguration(msix.Offset + ControlOffset, 2, 0);
        }

        if (Function.Msi is { } msi)
        {
            WriteConfiguration(msi.Offset + ControlOffset, 2, ReadConfiguration(msi.Offset + ControlOffset, 2) & ~0x71u);
        }

        WriteConfiguration(4, 2, ReadConfiguration(4, 2) | (uint)PciCommand.InterruptDisable);
        StopListening();
    }

    /// <inheritdoc/>
    public IDmaBuffer MapBuffer(int length) => new DmaBuffer(_mapper, _bus.Iovas, length);

    /// <inheritdoc/>
    public IDmaMapping MapMemory(HostMemory memory, ulong offset, ulong length, bool writable = true) =>
        new DmaMapping(_mapper, _bus.Iovas, memory, offset, length, writable);

    /// <inheritdoc/>
    /// <remarks>By function-level reset; BARs and the command register are put back, as a kernel does.</remarks>
    public bool TryReset()
    {
        int express = FindExpress();
        if (express == 0 || (ReadConfiguration(express + ExpressDeviceCapabilities, 4) & FunctionLevelReset) == 0)
        {
            return false;
        }

        uint command = ReadConfiguration(ConfigurationRegisters.Command, 2);
        uint[] bars = [.. Enumerable.Range(0, BarRegisters).Select(bar => ReadConfiguration(ConfigurationRegisters.Bar0 + (4 * bar), 4))];
        uint control = ReadConfiguration(express + ExpressDeviceControl, 2);
        WriteConfiguration(express + ExpressDeviceControl, 2, control | InitiateFunctionLevelReset);
        for (int bar = 0; bar < BarRegisters; bar++)
        {
            WriteConfiguration(ConfigurationRegisters.Bar0 + (4 * bar), 4, bars[bar]);
        }

        WriteConfiguration(ConfigurationRegisters.Command, 2, command);
        return true;
    }

    /// <summary>Hears interrupts no more; a function on a bus of its own is taken off it and disposed. The driver is closed before.</summary>
    public void Dispose()
    {
        StopListening();
        if (_owns)
        {
            _bus.Bridge.Root.Remove(Function);
            Function.Dispose();
        }
    }

    private static InProcessBus CreateBus(ulong iovaLength)
    {
        if (!GuestRange.TryCreate(FirstIova, iovaLength, out GuestRange range))
        {
            throw new ArgumentOutOfRangeException(nameof(iovaLength));
        }

        var domain = new AccessDomain();
        var messages = new RecordingMsiSink { Records = false };
        var lines = new RecordingInterruptLines();
        var bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = new AddressSpace(new AddressSpaceOptions { Domain = domain }),
            Ports = new AddressSpace(new AddressSpaceOptions { Domain = domain, Kind = AddressSpaceKind.Port, Name = "ports" }),
            Windows = PciBusRig.CreateWindows(),
            MsiSink = messages,
            InterruptLines = lines,
        });
        bridge.ClaimConfigurationAccess();
        return new InProcessBus
        {
            Bridge = bridge,
            Messages = messages,
            Lines = lines,
            Memory = new GuestMemory(),
            Iovas = new IovaSpace([range]),
        };
    }

    private int FindExpress()
    {
        byte[] image = [.. Enumerable.Range(0, PciConfigurationSpace.ConventionalLength).Select(at => (byte)ReadConfiguration(at, 1))];
        return CapabilityWalk.Standard(image, out _).FirstOrDefault(static capability => capability.Id == CapabilityIds.PciExpress).Offset;
    }

    private static CountingVector[] CreateVectors(int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        return [.. Enumerable.Range(0, count).Select(static _ => new CountingVector())];
    }

    private static void Count(CountingVector[] vectors, int vector)
    {
        if ((uint)vector < (uint)vectors.Length)
        {
            vectors[vector].Signal();
        }
    }

    private static int Checked(PciBar bar, int width) =>
        bar.Kind != PciBarKind.Io || width <= 4 ? width : throw new ArgumentException("ports have no access of 8 bytes", nameof(width));

    private ulong Hear(Action<int> signalled)
    {
        StopListening();
        MessageListener listener = _bus.Messages.Listen(data => signalled((int)data));
        _listener = listener;
        return listener.Address;
    }

    private void StopListening()
    {
        _listener?.Dispose();
        (_listener, _wire) = (null, null);
    }

    /// <summary>Has the function decode, and gives the number of its pin's wire, which firmware has put into Interrupt Line.</summary>
    private int StartDecoding()
    {
        bool ports = Function.Bars.Any(bar => bar.Kind == PciBarKind.Io && SpaceOf(bar) is not null);
        WriteConfiguration(4, 2, ReadConfiguration(4, 2) | (uint)PciCommand.MemorySpace | (ports ? (uint)PciCommand.IoSpace : 0));
        return (int)ReadConfiguration(0x3c, 1);
    }

    private PciBar? Find(int index)
    {
        // By hand: a driver's notifications come here, and allocate nothing.
        IReadOnlyList<PciBar> bars = Function.Bars;
        for (int i = 0; i < bars.Count; i++)
        {
            if (bars[i].Index == index && bars[i].Kind != PciBarKind.Rom)
            {
                return bars[i];
            }
        }

        return null;
    }

    private AddressSpace? SpaceOf(PciBar bar) => bar.Kind == PciBarKind.Io ? _bus.Bridge.Root.Ports : _bus.Bridge.Root.Memory;
}
