using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Access;

/// <summary>
/// Reaches what is behind an <see cref="IPciDeviceBackend"/>, a real device for example, for a user-space driver: accesses of exact width, interrupts by eventfds, buffers pinned and mapped (DRV-1).
/// </summary>
/// <remarks>
/// Accesses from any thread; one that the device does not answer reads all-ones. Enabling and disabling interrupts from one thread at a time;
/// they are delivered on a thread of this object's own. Drivers are closed before it is disposed, and it is disposed before the device.
/// </remarks>
public sealed class DeviceFunctionAccess : IPciFunctionAccess, IDisposable
{
    // Devices and drivers tend to take address 0 for none.
    private const ulong FirstIova = 0x10_0000;

    private readonly IPciDeviceBackend _device;
    private readonly IovaSpace _iovas;
    private readonly Worker _worker;
    private readonly List<EventFd> _events = [];
    private readonly List<IDisposable> _watches = [];
    private PciInterruptIndex? _enabled;

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
    public void WriteConfiguration(int offset, int width, uint value) => Write(PciRegionIndex.Configuration, (uint)offset, width, value);

    /// <inheritdoc/>
    public ulong GetBarLength(int bar) => _device.GetRegion(RegionOf(bar)) is { CanRead: true, CanWrite: true } region ? region.Size : 0;

    /// <inheritdoc/>
    public ulong ReadBar(int bar, ulong offset, int width) => Read(RegionOf(bar), offset, width);

    /// <inheritdoc/>
    public void WriteBar(int bar, ulong offset, int width, ulong value) => Write(RegionOf(bar), offset, width, value);

    /// <inheritdoc/>
    public void EnableMessages(int count, Action<int> signalled)
    {
        ArgumentNullException.ThrowIfNull(signalled);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MessageVectors);
        Enable(PciInterruptIndex.Msix, count, signalled);
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
            _device.DisableInterrupts(index);
        }

        CloseEvents();
    }

    /// <inheritdoc/>
    /// <exception cref="HostException">The memory cannot be pinned or mapped.</exception>
    public IDmaBuffer MapBuffer(int length)
    {
        return new DmaBuffer(_device.Dma, _iovas, length);
    }

    /// <summary>Disables interrupts and ends their thread.</summary>
    public void Dispose()
    {
        DisableInterrupts();
        _worker.Dispose();
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
        if (_enabled is { } already)
        {
            throw new InvalidOperationException($"interrupts of kind {already} are enabled already");
        }

        try
        {
            for (int i = 0; i < count; i++)
            {
                int vector = i;
                var source = new EventFd();
                _events.Add(source);
                _watches.Add(_worker.Watch(source, () => signalled(vector)));
            }

            int available = _device.SetTriggers(index, 0, [.. _events]);
            if (available < count)
            {
                throw new HostException("enabling interrupts", 0, $"{_device.Name}: {count} of kind {index} are wanted, and the host has {available}");
            }

            _enabled = index;
        }
        catch
        {
            CloseEvents();
            throw;
        }
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
