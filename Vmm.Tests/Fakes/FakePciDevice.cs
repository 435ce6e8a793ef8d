using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Vfio;

namespace Vmm.Tests.Fakes;

/// <summary>A device as somebody gives it for passing through: bytes, a list of the calls, and failures on demand.</summary>
public sealed class FakePciDevice : IPciDeviceBackend
{
    private readonly Dictionary<PciRegionIndex, BackendRegion> _regions = [];
    private readonly Dictionary<PciInterruptIndex, BackendInterrupt> _interrupts = [];
    private readonly Dictionary<PciRegionIndex, byte[]> _bytes = [];
    private readonly Dictionary<PciInterruptIndex, EventFd?[]> _triggers = [];
    private readonly List<HostMemory> _mappings = [];

    public FakePciDevice(int configurationLength = 4096)
    {
        Configuration = new byte[configurationLength];
        _bytes[PciRegionIndex.Configuration] = Configuration;
        SetRegion(PciRegionIndex.Configuration, new BackendRegion { Size = (ulong)configurationLength, CanRead = true, CanWrite = true });
        Set(0, 4, 0x5678_8086);
        Set(8, 4, 0x0200_0001);
        Set(0x2c, 4, 0x1100_1af4);
    }

    public string Name => "0000:00:10.0";

    public HostIdentity? Identity { get; set; }

    public bool CanReset { get; set; } = true;

    public FakeDmaMapper Mapper { get; } = new();

    public IDmaMapper Dma => Mapper;

    /// <summary>The device's own configuration space; the guest's writes that reach it change it.</summary>
    public byte[] Configuration { get; }

    /// <summary>What a hot reset answers.</summary>
    public string? HotResetRefusal { get; set; } = "other devices share the bus";

    /// <summary>Asked before each call with its text; true has it fail.</summary>
    public Func<string, bool>? Fail { get; set; }

    /// <summary>Calls in order. Reads are not listed. <c>write 7 4 2 6</c> is region, offset, width, value.</summary>
    public List<string> Calls { get; } = [];

    /// <summary>Reads of BARs and the ROM: region, offset, width.</summary>
    public List<(PciRegionIndex Region, ulong Offset, int Width)> Reads { get; } = [];

    public bool IsDisposed { get; private set; }

    /// <summary>Mappings that nobody has disposed.</summary>
    public int LiveMappings => _mappings.Count(IsLive);

    /// <summary>What the device signals now for a kind, or empty if it is disabled.</summary>
    public IReadOnlyList<EventFd?> Triggers(PciInterruptIndex index) => _triggers.GetValueOrDefault(index, []);

    public void SetRegion(PciRegionIndex index, BackendRegion region)
    {
        _regions[index] = region;
        if (index != PciRegionIndex.Configuration && region.Size <= 1 << 20)
        {
            _bytes[index] = new byte[region.Size];
        }
    }

    /// <summary>Gives the device a BAR: its type bits in configuration space and its region.</summary>
    public FakePciDevice AddBar(int index, uint typeBits, ulong size, IReadOnlyList<RegionArea>? areas = null, bool tableIsMappable = true)
    {
        Set(index == 6 ? 0x30 : 0x10 + (4 * index), 4, typeBits);
        SetRegion((PciRegionIndex)index, new BackendRegion
        {
            Size = size,
            CanRead = true,
            CanWrite = index != 6,
            MappableAreas = areas ?? [],
            TableIsMappable = tableIsMappable,
        });
        return this;
    }

    public FakePciDevice AddInterrupt(PciInterruptIndex index, int count, bool canGrow = false)
    {
        _interrupts[index] = new BackendInterrupt(count, canGrow, index == PciInterruptIndex.Pin);
        return this;
    }

    public FakePciDevice SetPin(byte pin)
    {
        Configuration[0x3d] = pin;
        return this;
    }

    /// <summary>Puts the capability list together; each one's bytes follow id and next pointer.</summary>
    public FakePciDevice SetCapabilities(params (int Offset, byte Id, byte[] Body)[] list)
    {
        Configuration[6] |= 0x10;
        int pointer = 0x34;
        foreach ((int offset, byte id, byte[] body) in list)
        {
            Configuration[pointer] = (byte)offset;
            Configuration[offset] = id;
            Configuration[offset + 1] = 0;
            body.CopyTo(Configuration, offset + 2);
            pointer = offset + 1;
        }

        return this;
    }

    /// <summary>The body of an MSI-X capability.</summary>
    public static byte[] Msix(int vectors, uint table, uint pending)
    {
        byte[] body = new byte[10];
        BinaryPrimitives.WriteUInt16LittleEndian(body, (ushort)(vectors - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(2), table);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(6), pending);
        return body;
    }

    /// <summary>The body of an MSI capability.</summary>
    public static byte[] Msi(int log2Vectors, bool is64Bit = true, bool masking = false)
    {
        byte[] body = new byte[(is64Bit ? 12 : 8) + (masking ? 10 : 0)];
        body[0] = (byte)((log2Vectors << 1) | (is64Bit ? 0x80 : 0));
        body[1] = (byte)(masking ? 1 : 0);
        return body;
    }

    public uint Get(int offset, int width)
    {
        return width switch
        {
            1 => Configuration[offset],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(Configuration.AsSpan(offset)),
            _ => BinaryPrimitives.ReadUInt32LittleEndian(Configuration.AsSpan(offset)),
        };
    }

    public void Set(int offset, int width, uint value)
    {
        for (int i = 0; i < width; i++)
        {
            Configuration[offset + i] = (byte)(value >> (8 * i));
        }
    }

    public byte[] Bytes(PciRegionIndex index) => _bytes[index];

    public BackendRegion GetRegion(PciRegionIndex index)
    {
        Throw($"region {(int)index}", record: false);
        return _regions.GetValueOrDefault(index, new BackendRegion { Size = 0 });
    }

    public BackendInterrupt GetInterrupt(PciInterruptIndex index)
    {
        Throw($"interrupt {(int)index}", record: false);
        return _interrupts.GetValueOrDefault(index);
    }

    public bool TryRead(PciRegionIndex region, ulong offset, Span<byte> destination)
    {
        if (region != PciRegionIndex.Configuration)
        {
            Reads.Add((region, offset, destination.Length));
        }

        if (Fail?.Invoke($"read {(int)region} {offset:x} {destination.Length}") == true
            || !_bytes.TryGetValue(region, out byte[]? bytes) || offset + (ulong)destination.Length > (ulong)bytes.Length)
        {
            return false;
        }

        bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        return true;
    }

    public bool TryWrite(PciRegionIndex region, ulong offset, ReadOnlySpan<byte> source)
    {
        ulong value = 0;
        for (int i = 0; i < source.Length; i++)
        {
            value |= (ulong)source[i] << (8 * i);
        }

        string call = $"write {(int)region} {offset:x} {source.Length} {value:x}";
        Calls.Add(call);
        if (Fail?.Invoke(call) == true || !_bytes.TryGetValue(region, out byte[]? bytes) || offset + (ulong)source.Length > (ulong)bytes.Length)
        {
            return false;
        }

        source.CopyTo(bytes.AsSpan((int)offset));
        return true;
    }

    public HostMemory Map(PciRegionIndex region, RegionArea area, bool writable)
    {
        Throw($"map {(int)region} {area.Offset:x}+{area.Length:x} {(writable ? "rw" : "r")}");
        var memory = HostMemory.AllocateAnonymous(area.Length);
        _mappings.Add(memory);
        return memory;
    }

    public int SetTriggers(PciInterruptIndex index, int start, ReadOnlySpan<EventFd?> triggers)
    {
        string set = string.Concat(triggers.ToArray().Select(trigger => trigger is null ? '-' : 'x'));
        Throw($"triggers {index} {start} {set}");
        if (index <= PciInterruptIndex.Msix && _triggers.Keys.Any(other => other <= PciInterruptIndex.Msix && other != index))
        {
            throw new VfioException("VFIO_DEVICE_SET_IRQS", Name, 22, "another kind of interrupt is enabled");
        }

        bool enabled = _triggers.TryGetValue(index, out EventFd?[]? old);
        if (enabled && start + triggers.Length > old!.Length && !_interrupts[index].CanGrow)
        {
            throw new VfioException("VFIO_DEVICE_SET_IRQS", Name, 22, "more than were enabled");
        }

        if (start + triggers.Length > _interrupts.GetValueOrDefault(index).Count)
        {
            throw new VfioException("VFIO_DEVICE_SET_IRQS", Name, 22, "more than there are");
        }

        var now = new EventFd?[Math.Max(old?.Length ?? 0, start + triggers.Length)];
        old?.CopyTo(now, 0);
        triggers.CopyTo(now.AsSpan(start));
        _triggers[index] = now;
        return triggers.Length;
    }

    public void DisableInterrupts(PciInterruptIndex index)
    {
        Throw($"disable {index}");
        _triggers.Remove(index);
    }

    public void MaskPin(bool masked) => Throw($"pin {(masked ? "masked" : "unmasked")}");

    public void SetPinUnmask(EventFd? resample)
    {
        Throw($"resample {(resample is null ? '-' : 'x')}");
        Resample = resample;
    }

    /// <summary>The eventfd that unmasks the pin.</summary>
    public EventFd? Resample { get; private set; }

    public void Reset() => Throw("reset");

    public string? TryHotReset()
    {
        Calls.Add("hot reset");
        return HotResetRefusal;
    }

    public void Dispose()
    {
        Calls.Add("dispose");
        IsDisposed = true;
    }

    private static bool IsLive(HostMemory memory)
    {
        try
        {
            unsafe
            {
                return memory.Pointer is not null;
            }
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    private void Throw(string call, bool record = true)
    {
        if (record)
        {
            Calls.Add(call);
        }

        if (Fail?.Invoke(call) == true)
        {
            throw new VfioException(call, Name, 5, "on demand");
        }
    }
}
