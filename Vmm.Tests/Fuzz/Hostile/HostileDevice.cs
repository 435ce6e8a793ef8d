using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>A virtio function that answers at random as far as its profile goes, and truly beyond it, so that drivers get somewhere.</summary>
/// <remarks>
/// It has a turn at each access of the driver to a register and to mapped memory: it may then complete requests, write what it likes into any
/// mapped memory, and interrupt. It watches the driver too: accesses outside of a BAR, memory that is reached after it was unmapped, or
/// unmapped while the device may write it.
/// </remarks>
internal sealed partial class HostileDevice : IPciFunctionAccess, IDisposable
{
    private const int MostMapped = 16 << 20;

    private readonly HostileProfile _profile;
    private readonly HostileLayout _layout;
    private readonly Dictionary<ushort, HostileQueue> _queues = [];
    private readonly Lock _memoryLock = new();
    private readonly Thread? _thread;
    private readonly Random _threadRandom = new(1);
    private volatile HostileBuffer[] _mapped = [];
    private readonly List<HostileBuffer> _gone = [];
    private volatile Action<int>? _message;
    private volatile Action? _pin;
    private volatile bool _ended;
    private Random _random;
    private bool _acting;
    private ulong _nextIova = 0x10_0000;
    private long _mappedBytes;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;
    private ulong _driverFeatures;
    private ushort _configurationVector;
    private byte _status;
    private byte _generation;
    private byte _isr;
    private ushort _select;
    private bool _resetAsked;
    private volatile string? _violation;

    public HostileDevice(HostileProfile profile)
    {
        _profile = profile;
        _random = new Random((int)profile.Seed);
        _layout = new HostileLayout(profile, _random);
        if (profile.HasSecondThread)
        {
            _thread = new Thread(DisturbAlways) { IsBackground = true, Name = "fuzz-liar" };
            _thread.Start();
        }
    }

    /// <summary>The first thing that the driver did and must not, or null.</summary>
    public string? Violation => _violation;

    /// <summary>A mapping was refused since the last operation.</summary>
    public bool Exhausted { get; private set; }

    /// <summary>Buffers that are mapped.</summary>
    public int Mapped => _mapped.Length;

    /// <summary>The driver has reason to think that the device writes memory.</summary>
    public bool IsLive
    {
        get
        {
            foreach (HostileQueue queue in _queues.Values)
            {
                if (queue.Live)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>A single queue is being reset, whose memory is unmapped while the others run.</summary>
    public bool ResetsQueue { get; set; }

    public int MessageVectors => _profile.Messages;

    public bool HasPin => _profile.HasPin;

    /// <summary>All that is random from here on follows from the seed.</summary>
    public void Begin(uint seed)
    {
        _random = new Random((int)seed);
        Exhausted = false;
    }

    public uint ReadConfiguration(int offset, int width)
    {
        CheckAccess("configuration space", (ulong)offset, width, 256);
        Act();
        uint value = 0;
        for (int i = 0; i < width; i++)
        {
            value |= (uint)_layout.Configuration[offset + i] << (8 * i);
        }

        return (uint)(Lie(value) & Mask(width));
    }

    public void WriteConfiguration(int offset, int width, uint value)
    {
        CheckAccess("configuration space", (ulong)offset, width, 256);
        Act();
    }

    public ulong GetBarLength(int bar) => _layout.BarLengths[bar];

    public ulong ReadBar(int bar, ulong offset, int width)
    {
        CheckAccess($"BAR {bar}", offset, width, bar is >= 0 and < 6 ? _layout.BarLengths[bar] : 0);
        Act();
        bool common = TryFind(_layout.Common, bar, offset, width, out int at);
        ulong value = common ? Register(at, width) : Elsewhere(bar, offset, width);
        value = common && at == _profile.Stuck ? _profile.StuckValue : Lie(value);
        value &= Mask(width);
        if (common)
        {
            Told(at, value);
        }

        return value;
    }

    public void WriteBar(int bar, ulong offset, int width, ulong value)
    {
        CheckAccess($"BAR {bar}", offset, width, bar is >= 0 and < 6 ? _layout.BarLengths[bar] : 0);
        if (TryFind(_layout.Common, bar, offset, width, out int at))
        {
            WriteRegister(at, value);
        }
        else if (TryFind(_layout.Notification, bar, offset, width, out _))
        {
            foreach (HostileQueue queue in _queues.Values)
            {
                while (OneIn(_profile.Service) && TryServe(queue))
                {
                }
            }
        }

        Act();
    }

    public void EnableMessages(int count, Action<int> signalled)
    {
        if (count < 1 || count > MessageVectors)
        {
            Complain($"{count} vectors were enabled of {MessageVectors}");
        }

        _message = signalled;
    }

    public void EnablePin(Action asserted) => _pin = asserted;

    // What was on its way comes late.
    public void DisableInterrupts()
    {
        if (_random.Next(2) == 0)
        {
            (_message, _pin) = (null, null);
        }
    }

    public IDmaBuffer MapBuffer(int length)
    {
        if (length < 1)
        {
            Complain($"{length} bytes were to be mapped");
        }

        if (_profile.RegisterLies > 0 && _random.Next(60) == 0)
        {
            Exhausted = true;
            throw new IovaExhaustedException((ulong)length, 0x1000);
        }

        if (Interlocked.Add(ref _mappedBytes, length) > MostMapped)
        {
            Complain($"{_mappedBytes} bytes are mapped");
        }

        var buffer = new HostileBuffer(this, _nextIova, length);
        _nextIova += ((ulong)length + 0x1fff) & ~0xfffUL;
        lock (_memoryLock)
        {
            _mapped = [.. _mapped, buffer];
        }

        return buffer;
    }

    /// <summary>The driver reaches memory.</summary>
    public void Touched(HostileBuffer buffer)
    {
        if (buffer.IsDisposed)
        {
            Complain("memory was reached after it was unmapped");
            return;
        }

        Act();
    }

    public void Unmapped(HostileBuffer buffer)
    {
        // A ring whose tables found no address was never given.
        bool unused = Exhausted && _mapped[^1] == buffer;
        foreach (HostileQueue queue in _queues.Values)
        {
            bool holds = queue.Descriptors - buffer.Iova < (ulong)buffer.Bytes.Length;
            if (queue.Live && (holds || !(ResetsQueue || unused)))
            {
                Complain("memory was unmapped that the device may still write");
            }
        }

        lock (_memoryLock)
        {
            _mapped = [.. Array.FindAll(_mapped, other => other != buffer)];
            buffer.Bytes.AsSpan().Fill(HostileBuffer.Gone);
        }

        Interlocked.Add(ref _mappedBytes, -buffer.Bytes.Length);
        _gone.Add(buffer);
    }

    /// <summary>Ends what runs beside the driver, and looks at the memory that was unmapped.</summary>
    public void Dispose()
    {
        _ended = true;
        _thread?.Join();
        if (_gone.Exists(static buffer => buffer.Bytes.AsSpan().IndexOfAnyExcept(HostileBuffer.Gone) >= 0))
        {
            Complain("memory was written after it was unmapped");
        }
    }

    private static ulong Mask(int width) => ulong.MaxValue >> (64 - (8 * width));

    private static bool TryFind(in StructureLocation where, int bar, ulong offset, int width, out int at)
    {
        at = (int)(offset - where.Offset);
        return bar == where.Bar && offset >= where.Offset && offset + (ulong)width <= where.Offset + where.Length;
    }

    private void Complain(string what) => _violation ??= $"{what}\n{Environment.StackTrace}";

    private void CheckAccess(string what, ulong offset, int width, ulong length)
    {
        if (width is not (1 or 2 or 4 or 8) || offset % (ulong)width != 0 || offset >= length || (ulong)width > length - offset)
        {
            Complain($"an access of {width} bytes at 0x{offset:x} of {what}, which has 0x{length:x}");
        }
    }

    private bool OneIn(int rate) => rate > 0 && _random.Next(rate) == 0;

    private ulong Lie(ulong value)
    {
        return !OneIn(_profile.RegisterLies) ? value : _random.Next(3) switch
        {
            0 => value ^ (1UL << _random.Next(32)),
            1 => value + (ulong)_random.Next(-2, 3),
            _ => HostileProfile.Interesting(_random),
        };
    }
}
