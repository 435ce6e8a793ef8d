using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Access;

/// <summary>
/// Reaches what is behind an <see cref="IPciDeviceBackend"/>, a real device for example, for a user-space driver: accesses of exact width,
/// interrupts by eventfds, buffers pinned and mapped (DRV-1).
/// </summary>
/// <remarks>
/// <para>
/// What the device lets be mapped of its BARs is mapped, but for the pages of the MSI-X table: an access there is one load or store, any other
/// is a call.
/// </para>
/// <para>
/// Accesses from any thread; one that the device does not answer reads all-ones. Memory Space and the power state are changed, the function is
/// reset and this object is disposed while no other thread accesses BARs: touching a mapped page of a device that does not decode ends the
/// process. Enabling and disabling interrupts from one thread at a time;
/// they are delivered on a thread of this object's own. Drivers are closed before it is disposed, and it is disposed before the device.
/// </para>
/// </remarks>
public sealed class DeviceFunctionAccess : IPciFunctionAccess, IDisposable
{
    // Devices and drivers tend to take address 0 for none.
    private const ulong FirstIova = 0x10_0000;

    private readonly IPciDeviceBackend _device;
    private readonly IovaSpace _iovas;
    private readonly Worker _worker;
    private readonly MappedBars _mapped;
    private readonly int _powerState;
    private readonly List<EventFd> _events = [];
    private readonly List<IDisposable> _watches = [];
    private PciInterruptIndex? _enabled;
    private volatile bool _decodes;

    /// <summary>Makes an access.</summary>
    /// <param name="device">The device; it stays the caller's.</param>
    /// <param name="iovas">
    /// Addresses to give out; without it all that the device's mapper can map, from 1 MiB up. Devices that share a mapper share this.
    /// </param>
    /// <param name="loggerFactory">Where a fault of a callback is logged.</param>
    public DeviceFunctionAccess(IPciDeviceBackend device, IovaSpace? iovas = null, ILoggerFactory? loggerFactory = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        _device = device;
        _iovas = iovas ?? CreateIovaSpace(device.Dma);
        byte[] image = ReadImage();
        IReadOnlyList<DeviceCapability> capabilities = CapabilityWalk.Standard(image, out _);
        _powerState = capabilities.FirstOrDefault(static capability => capability.Id == CapabilityIds.PowerManagement) is { Room: >= 8 } power
            ? power.Offset + PowerManagementCapability.ControlStatus
            : 0;
        _mapped = new MappedBars(device, image, capabilities, GuardedLogger.Create<DeviceFunctionAccess>(loggerFactory));
        _decodes = DecodesMemory();
        _worker = new Worker("device-interrupts", loggerFactory);
        _worker.Start();
    }

    /// <inheritdoc/>
    public int MessageVectors => _device.GetInterrupt(PciInterruptIndex.Msix).Count;

    /// <inheritdoc/>
    public bool HasPin => _device.GetInterrupt(PciInterruptIndex.Pin).Count > 0;

    /// <summary>Makes the addresses that a mapper can map, from 1 MiB up, to be given out.</summary>
    /// <param name="mapper">The mapper.</param>
    public static IovaSpace CreateIovaSpace(IDmaMapper mapper)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return new IovaSpace(mapper.ValidRanges.Select(Clip), mapper.Granularity);
    }

    /// <inheritdoc/>
    public uint ReadConfiguration(int offset, int width) => (uint)Read(PciRegionIndex.Configuration, (uint)offset, width);

    /// <inheritdoc/>
    public void WriteConfiguration(int offset, int width, uint value)
    {
        // Not the mapping while it may end to work.
        _decodes = false;
        Write(PciRegionIndex.Configuration, (uint)offset, width, value);
        _decodes = DecodesMemory();
    }

    /// <inheritdoc/>
    public ulong GetBarLength(int bar) => _device.GetRegion(RegionOf(bar)) is { CanRead: true, CanWrite: true } region ? region.Size : 0;

    /// <inheritdoc/>
    public ulong ReadBar(int bar, ulong offset, int width)
    {
        PciRegionIndex region = RegionOf(bar);
        return _decodes && _mapped.TryFind(bar, offset, width, out IRegionHandler? mapped, out ulong at)
            ? mapped.Read(at, width)
            : Read(region, offset, width);
    }

    /// <inheritdoc/>
    public void WriteBar(int bar, ulong offset, int width, ulong value)
    {
        PciRegionIndex region = RegionOf(bar);
        if (_decodes && _mapped.TryFind(bar, offset, width, out IRegionHandler? mapped, out ulong at))
        {
            mapped.Write(at, width, value);
        }
        else
        {
            Write(region, offset, width, value);
        }
    }

    /// <summary>Bytes of a BAR that are reached by a mapping while the device decodes memory.</summary>
    /// <param name="bar">0 to 5.</param>
    public ulong GetMappedLength(int bar) => _mapped.MappedLength((int)RegionOf(bar));

    /// <inheritdoc/>
    public void EnableMessages(int count, Action<int> signalled)
    {
        ArgumentNullException.ThrowIfNull(signalled);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MessageVectors);
        Enable(PciInterruptIndex.Msix, count, signalled);
    }

    /// <inheritdoc/>
    public void EnableMessages(IReadOnlyList<EventFd> events)
    {
        ArgumentNullException.ThrowIfNull(events);
        ArgumentOutOfRangeException.ThrowIfLessThan(events.Count, 1, nameof(events));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(events.Count, MessageVectors, nameof(events));
        ThrowIfEnabled();
        Trigger(PciInterruptIndex.Msix, [.. events]);
    }

    /// <inheritdoc/>
    public void EnablePin(Action asserted)
    {
        ArgumentNullException.ThrowIfNull(asserted);
        Enable(PciInterruptIndex.Pin, 1, _ => asserted());
        uint command = ReadConfiguration(ConfigurationRegisters.Command, 2);
        WriteConfiguration(ConfigurationRegisters.Command, 2, command & ~(uint)PciCommand.InterruptDisable);
    }

    /// <summary>The kernel masks the pin when it signals; this unmasks it, and it signals again if it is still asserted.</summary>
    public void PinServed()
    {
        if (_enabled == PciInterruptIndex.Pin)
        {
            _device.MaskPin(false);
        }
    }

    /// <inheritdoc/>
    public void DisableInterrupts()
    {
        if (_enabled is { } index)
        {
            _enabled = null;
            try
            {
                _device.DisableInterrupts(index);
            }
            finally
            {
                CloseEvents();
            }
        }
        else
        {
            CloseEvents();
        }
    }

    /// <inheritdoc/>
    /// <exception cref="HostException">The memory cannot be pinned or mapped.</exception>
    public IDmaBuffer MapBuffer(int length)
    {
        return new DmaBuffer(_device.Dma, _iovas, length);
    }

    /// <inheritdoc/>
    /// <exception cref="HostException">The memory cannot be pinned or mapped.</exception>
    public IDmaMapping MapMemory(HostMemory memory, ulong offset, ulong length, bool writable = true) =>
        new DmaMapping(_device.Dma, _iovas, memory, offset, length, writable);

    /// <inheritdoc/>
    public bool TryReset()
    {
        if (!_device.CanReset)
        {
            return false;
        }

        _decodes = false;
        uint command = ReadConfiguration(ConfigurationRegisters.Command, 2);
        try
        {
            _device.Reset();
        }
        finally
        {
            // The host puts back what its driver saved, which need not be the command register as it was just now.
            WriteConfiguration(ConfigurationRegisters.Command, 2, command);
        }

        return true;
    }

    /// <summary>Disables interrupts, ends their thread and unmaps the BARs.</summary>
    public void Dispose()
    {
        _decodes = false;
        try
        {
            DisableInterrupts();
        }
        finally
        {
            _mapped.Dispose();
            _worker.Dispose();
        }
    }

    /// <summary>Whether the device answers accesses to its memory: Memory Space is 1, and it is in D0.</summary>
    private bool DecodesMemory()
    {
        bool enabled = (Read(PciRegionIndex.Configuration, ConfigurationRegisters.Command, 2) & (uint)PciCommand.MemorySpace) != 0;
        return enabled
            && (_powerState == 0 || (Read(PciRegionIndex.Configuration, (uint)_powerState, 2) & PowerManagementCapability.PowerStateBits) == 0);
    }

    private byte[] ReadImage()
    {
        byte[] image = new byte[PciConfigurationSpace.ConventionalLength];
        for (int at = 0; at < image.Length; at += sizeof(uint))
        {
            BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), (uint)Read(PciRegionIndex.Configuration, (uint)at, sizeof(uint)));
        }

        return image;
    }

    private static GuestRange Clip(GuestRange range)
    {
        ulong skipped = Math.Min(range.Address < FirstIova ? FirstIova - range.Address : 0, range.Length);
        _ = GuestRange.TryCreate(range.Address + skipped, range.Length - skipped, out GuestRange clipped);
        return clipped;
    }

    private static PciRegionIndex RegionOf(int bar)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bar);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bar, (int)PciRegionIndex.Bar5);
        return (PciRegionIndex)bar;
    }

    private void Enable(PciInterruptIndex index, int count, Action<int> signalled)
    {
        ThrowIfEnabled();
        try
        {
            for (int i = 0; i < count; i++)
            {
                int vector = i;
                var source = new EventFd();
                _events.Add(source);
                _watches.Add(_worker.Watch(source, () => signalled(vector)));
            }

            Trigger(index, [.. _events]);
        }
        catch
        {
            CloseEvents();
            throw;
        }
    }

    private void ThrowIfEnabled()
    {
        if (_enabled is { } already)
        {
            throw new InvalidOperationException($"interrupts of kind {already} are enabled already");
        }
    }

    private void Trigger(PciInterruptIndex index, EventFd[] events)
    {
        int available = _device.SetTriggers(index, 0, events);
        if (available < events.Length)
        {
            throw new HostException(
                "enabling interrupts", 0, $"{_device.Name}: {events.Length} of kind {index} are wanted, and the host has {available}");
        }

        _enabled = index;
    }

    private void CloseEvents()
    {
        foreach (IDisposable watch in _watches)
        {
            watch.Dispose();
        }

        foreach (EventFd source in _events)
        {
            source.Dispose();
        }

        _watches.Clear();
        _events.Clear();
    }

    private ulong Read(PciRegionIndex region, ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bytes.Clear();
        Span<byte> part = bytes[..width];
        if (!_device.TryRead(region, offset, part))
        {
            part.Fill(0xff);
        }

        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    private void Write(PciRegionIndex region, ulong offset, int width, ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        _ = _device.TryWrite(region, offset, bytes[..width]);
    }
}
