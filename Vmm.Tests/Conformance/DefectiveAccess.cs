using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance.Driving;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Conformance;

/// <summary>A function with a defect put between it and the driver: what is read, written and signalled can be something else on the way.</summary>
internal sealed class DefectiveAccess : IPciFunctionAccess
{
    private readonly PciFacts _facts;
    private Action<int>? _message;
    private Action? _pin;

    public DefectiveAccess(IPciFunctionAccess inner)
    {
        Inner = inner;
        _facts = PciFacts.Read(inner);
    }

    public IPciFunctionAccess Inner { get; }

    /// <summary>What a configuration read of (offset, width) gives instead of the value.</summary>
    public Func<int, int, uint, uint> OnConfigRead { get; set; } = static (_, _, value) => value;

    /// <summary>What a configuration write of (offset, width, value) writes instead; null for nothing.</summary>
    public Func<int, int, uint, uint?> OnConfigWrite { get; set; } = static (_, _, value) => value;

    /// <summary>What a BAR read of (offset, width) gives instead of the value.</summary>
    public Func<ulong, int, ulong, ulong> OnRead { get; set; } = static (_, _, value) => value;

    /// <summary>What a BAR write of (offset, width, value) writes instead; null for nothing.</summary>
    public Func<ulong, int, ulong, ulong?> OnWrite { get; set; } = static (_, _, value) => value;

    /// <summary>The vector that a message arrives as; null for not at all.</summary>
    public Func<int, int?> OnMessage { get; set; } = static vector => vector;

    /// <summary>Whether an assertion of the pin arrives.</summary>
    public Func<bool> OnPin { get; set; } = static () => true;

    public Func<int, ulong, ulong> OnLength { get; set; } = static (_, length) => length;

    /// <summary>Memory that was mapped, as the function has it.</summary>
    public List<IDmaBuffer> Buffers { get; } = [];

    /// <summary>Something happens to memory before the driver looks at it.</summary>
    public Action<IDmaBuffer> OnTouch { get; set; } = static _ => { };

    public int MessageVectors => Inner.MessageVectors;

    public bool HasPin => Inner.HasPin;

    /// <summary>Offset of the MSI-X capability.</summary>
    public int Msix => _facts.Msix;

    /// <summary>Offset of the MSI-X table in its BAR.</summary>
    public uint Table => _facts.MsixTable.Offset;

    /// <summary>Offset of the pending bit array in its BAR.</summary>
    public uint Pending => _facts.MsixPending.Offset;

    /// <summary>Offset of the window.</summary>
    public int Window => _facts.Window;

    /// <summary>Offset of the notifications in the BAR.</summary>
    public ulong Notify => Structures.Notification.Offset;

    /// <summary>Offset of the ISR byte in the BAR.</summary>
    public ulong Isr => Structures.Isr!.Value.Offset;

    /// <summary>Offset of device configuration in the BAR.</summary>
    public ulong Device => Structures.Device!.Value.Offset;

    public IReadOnlyList<PciCapabilityEntry> Capabilities => _facts.Capabilities;

    private VirtioPciStructures Structures => VirtioPciStructures.Discover(Inner);

    /// <summary>Offset of the first capability with an id.</summary>
    public int Find(int id) => _facts.Find(id);

    /// <summary>Offset of a virtio capability.</summary>
    public int Cap(VirtioPciCapabilityType type, int index = 0) => _facts.FindVirtio(Inner, type).ElementAt(index).Offset;

    /// <summary>A byte of configuration space reads as something else, in any width.</summary>
    public void ConfigByte(int at, Func<uint, uint> change)
    {
        Func<int, int, uint, uint> before = OnConfigRead;
        OnConfigRead = (offset, width, value) =>
        {
            value = before(offset, width, value);
            if (at < offset || at >= offset + width)
            {
                return value;
            }

            int shift = 8 * (at - offset);
            return (value & ~(0xffu << shift)) | ((change((value >> shift) & 0xff) & 0xff) << shift);
        };
    }

    /// <summary>Bytes of configuration space read as what was written to them last.</summary>
    public void StickyConfig(int at, int length)
    {
        var written = new Dictionary<int, uint>();
        OnConfigWrite = (offset, width, value) =>
        {
            for (int i = 0; i < width; i++)
            {
                written[offset + i] = (value >> (8 * i)) & 0xff;
            }

            return value;
        };
        for (int i = 0; i < length; i++)
        {
            int offset = at + i;
            ConfigByte(offset, value => written.GetValueOrDefault(offset, value));
        }
    }

    /// <summary>Writes that touch bytes of configuration space are lost.</summary>
    public void LoseConfig(int at, int length = 1, int? width = null) =>
        OnConfigWrite = (offset, w, value) => offset < at + length && at < offset + w && (width ?? w) == w ? null : value;

    /// <summary>A field of the BAR reads as something else.</summary>
    public void Read(ulong at, Func<ulong, ulong> change)
    {
        Func<ulong, int, ulong, ulong> before = OnRead;
        OnRead = (offset, width, value) => offset == at ? change(before(offset, width, value)) : before(offset, width, value);
    }

    /// <summary>Something happens before a field of the BAR is written; null loses the write.</summary>
    public void Write(ulong at, Func<ulong, ulong?> change)
    {
        Func<ulong, int, ulong, ulong?> before = OnWrite;
        OnWrite = (offset, width, value) => offset == at ? change(value) : before(offset, width, value);
    }

    /// <summary>A field of the BAR reads as what was written to it last.</summary>
    public void Sticky(ulong at)
    {
        ulong? written = null;
        Write(at, value => written = value);
        Read(at, value => written ?? value);
    }

    /// <summary>32 offered feature bits are others.</summary>
    public void Feature(uint bank, Func<ulong, ulong> change) =>
        Read(CommonConfigurationOffset.DeviceFeature, value => Inner.ReadBar(0, 0, 4) == bank ? change(value) : value);

    /// <summary>Something happens before a notification; false loses it.</summary>
    public void OnNotify(Func<bool> before)
    {
        ulong start = Notify;
        Func<ulong, int, ulong, ulong?> others = OnWrite;
        OnWrite = (offset, width, value) => offset < start || offset >= start + 0x1000 ? others(offset, width, value) : before() ? value : null;
    }

    /// <summary>Counts writes of 0 to device_status, the one before the first check included.</summary>
    public Func<int> CountResets()
    {
        int count = 0;
        Write(CommonConfigurationOffset.DeviceStatus, value =>
        {
            count += value == 0 ? 1 : 0;
            return value;
        });
        return () => count;
    }

    /// <summary>A message arrives that the function has not sent.</summary>
    public void Tell(int vector) => _message?.Invoke(vector);

    /// <summary>The pin is asserted that the function has not asserted.</summary>
    public void TellPin() => _pin?.Invoke();

    /// <summary>The selected queue becomes another while something is done.</summary>
    public void With(int queue, Action action)
    {
        ulong selected = Inner.ReadBar(0, CommonConfigurationOffset.QueueSelect, 2);
        Inner.WriteBar(0, CommonConfigurationOffset.QueueSelect, 2, (ulong)queue);
        action();
        Inner.WriteBar(0, CommonConfigurationOffset.QueueSelect, 2, selected);
    }

    public uint ReadConfiguration(int offset, int width) => OnConfigRead(offset, width, Inner.ReadConfiguration(offset, width));

    public void WriteConfiguration(int offset, int width, uint value)
    {
        if (OnConfigWrite(offset, width, value) is { } changed)
        {
            Inner.WriteConfiguration(offset, width, changed);
        }
    }

    public ulong GetBarLength(int bar) => OnLength(bar, Inner.GetBarLength(bar));

    public ulong ReadBar(int bar, ulong offset, int width) => OnRead(offset, width, Inner.ReadBar(bar, offset, width));

    public void WriteBar(int bar, ulong offset, int width, ulong value)
    {
        if (OnWrite(offset, width, value) is { } changed)
        {
            Inner.WriteBar(bar, offset, width, changed);
        }
    }

    public void EnableMessages(int count, Action<int> signalled)
    {
        _message = signalled;
        Inner.EnableMessages(count, vector =>
        {
            if (OnMessage(vector) is { } arriving)
            {
                signalled(arriving);
            }
        });
    }

    public void EnablePin(Action asserted)
    {
        _pin = asserted;
        Inner.EnablePin(() =>
        {
            if (OnPin())
            {
                asserted();
            }
        });
    }

    public void DisableInterrupts() => Inner.DisableInterrupts();

    public IDmaBuffer MapBuffer(int length)
    {
        IDmaBuffer buffer = Inner.MapBuffer(length);
        Buffers.Add(buffer);
        return new TouchedBuffer(this, buffer);
    }

    /// <summary>Memory by the address that the function has for it, as the function has it; empty where nothing is mapped.</summary>
    public Span<byte> MemoryAt(ulong iova)
    {
        foreach (IDmaBuffer buffer in Enumerable.Reverse(Buffers))
        {
            if (iova >= buffer.Iova && iova - buffer.Iova < (ulong)buffer.Span.Length)
            {
                return buffer.Span[(int)(iova - buffer.Iova)..];
            }
        }

        return [];
    }

    private sealed class TouchedBuffer(DefectiveAccess owner, IDmaBuffer inner) : IDmaBuffer
    {
        private bool _gone;

        public ulong Iova => inner.Iova;

        public Span<byte> Span
        {
            get
            {
                owner.OnTouch(inner);
                return inner.Span;
            }
        }

        public void Dispose()
        {
            if (!_gone)
            {
                _gone = true;
                owner.Buffers.Remove(inner);
                inner.Dispose();
            }
        }
    }
}
