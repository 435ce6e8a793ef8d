using System;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Registers;

namespace Vmm.Machine.Devices;

/// <summary>An MC146818 real-time clock with its 128 bytes of memory, behind an index and a data port.</summary>
/// <remarks>
/// The time is the host's, in UTC, moved by what the guest sets it to. Alarm and update-ended interrupts work, to the second; the periodic interrupt
/// does not exist (its enable bit reads back 0). Thread-safe; the lock covers the registers, the timer and the interrupt line.
/// </remarks>
public sealed partial class RealTimeClock : IDisposable
{
    /// <summary>Ports of the device: index, data.</summary>
    public const int Length = 2;

    private const int RegisterA = 0x0A;
    private const int RegisterB = 0x0B;
    private const int RegisterC = 0x0C;
    private const int RegisterD = 0x0D;
    private const int Century = 0x32;
    private const int MemoryLength = 128;
    private const byte Divider = 0x26;                          // 32,768 Hz, rate 6
    private const byte Set = 0x80;
    private const byte AlarmInterrupt = 0x20;
    private const byte UpdateInterrupt = 0x10;
    private const byte Binary = 0x04;
    private const byte Hour24 = 0x02;
    private const byte AnyInterrupt = 0x80;
    private const byte ControlBits = Set | AlarmInterrupt | UpdateInterrupt | Binary | Hour24 | 1;
    private const byte RateBits = 0x7F;
    private const long EightThousandYears = 20L * 146_097 * TimeSpan.TicksPerDay;

    /// <summary>The index reads as an open bus, whatever is in it; reading the data of register C clears it.</summary>
    internal static readonly RegisterMap<RealTimeClock> Map = new RegisterMap<RealTimeClock>("rtc", Length, RegisterPolicy.Bytes)
    {
        { 0, 1, RegisterAccess.ReadWrite, "index", static _ => 0xFF, static (clock, value) => clock.Select((byte)value) },
        { 1, 1, RegisterAccess.ReadSideEffect, "data", static clock => clock.ReadData(), static (clock, value) => clock.WriteData((byte)value) },
    }.SelectedBy(static clock => clock._index, "data");

    private readonly Lock _lock = new();
    private readonly IInterruptLine _line;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly byte[] _memory = new byte[MemoryLength];
    private TimeSpan _offset;
    private int _index;
    private byte _a = Divider;
    private byte _b = Hour24;
    private byte _c;
    private bool _disposed;

    /// <summary>Makes a clock that shows the host's time.</summary>
    /// <param name="line">Asserted while an enabled event is flagged in register C.</param>
    /// <param name="time">The host's time.</param>
    public RealTimeClock(IInterruptLine line, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(line);
        ArgumentNullException.ThrowIfNull(time);
        _line = line;
        _time = time;
        _timer = time.CreateTimer(static state => ((RealTimeClock)state!).OnSecond(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        StoreTime(Now);
        Registers = Map.Bind(this);
    }

    /// <summary>The two ports.</summary>
    public IRegisterBlock Registers { get; }

    /// <summary>
    /// The time that is shown. After the year 9999 comes 2000, and it is so the other way round: 8000 years are whole weeks and cycles of leap years.
    /// </summary>
    private DateTimeOffset Now
    {
        get
        {
            long ticks = _time.GetUtcNow().Ticks + _offset.Ticks;
            while ((ulong)ticks > (ulong)DateTimeOffset.MaxValue.Ticks)
            {
                ticks += ticks < 0 ? EightThousandYears : -EightThousandYears;
            }

            return new DateTimeOffset(ticks, TimeSpan.Zero);
        }
    }

    private bool IsStopped => (_b & Set) != 0;

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
        }

        _timer.Dispose();
    }

    private void Select(byte index)
    {
        lock (_lock)
        {
            _index = index & (MemoryLength - 1);                // bit 7 masks the NMI, of which there is none
        }
    }

    private ulong ReadData()
    {
        lock (_lock)
        {
            return ReadRegister(_index);
        }
    }

    private void WriteData(byte value)
    {
        lock (_lock)
        {
            WriteRegister(_index, value);
        }
    }

    private byte ReadRegister(int index)
    {
        switch (index)
        {
            case RegisterA:
                return _a;                                      // an update takes no time: never in progress
            case RegisterB:
                return _b;
            case RegisterC:
                byte flags = _c;
                _c = 0;
                _line.SetLevel(false);
                return flags;
            case RegisterD:
                return 0x80;                                    // the battery is good
            default:
                if (IsTime(index) && !IsStopped)
                {
                    StoreTime(Now);
                }

                return _memory[index];
        }
    }

    private void WriteRegister(int index, byte value)
    {
        switch (index)
        {
            case RegisterA:
                _a = (byte)(value & RateBits);
                break;
            case RegisterB:
                WriteControl((byte)(value & ControlBits));
                break;
            case RegisterC or RegisterD:
                break;
            default:
                bool time = IsTime(index);
                if (time && !IsStopped)
                {
                    StoreTime(Now);
                }

                _memory[index] = value;
                if (time && !IsStopped)
                {
                    TakeTime();
                }

                break;
        }
    }

    private void WriteControl(byte value)
    {
        bool wasStopped = IsStopped;
        if (!wasStopped)
        {
            StoreTime(Now);
        }

        byte before = _b;
        _b = (value & Set) != 0 ? (byte)(value & ~UpdateInterrupt) : value;
        if (wasStopped && !IsStopped)
        {
            TakeTime();
        }
        else if (((before ^ _b) & (Binary | Hour24)) != 0 && !IsStopped)
        {
            StoreTime(Now);
        }

        Arm();
    }

    /// <summary>Sleeps to the next full second while somebody wants to know of it.</summary>
    private void Arm()
    {
        if (_disposed || IsStopped || (_b & (AlarmInterrupt | UpdateInterrupt)) == 0)
        {
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            return;
        }

        long left = TimeSpan.TicksPerSecond - (Now.Ticks % TimeSpan.TicksPerSecond);
        _timer.Change(TimeSpan.FromTicks(left) + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
    }

    private void OnSecond()
    {
        lock (_lock)
        {
            if (_disposed || IsStopped)
            {
                return;
            }

            StoreTime(Now);
            byte flags = UpdateInterrupt;
            if (Matches(1, 0) && Matches(3, 2) && Matches(5, 4))
            {
                flags |= AlarmInterrupt;
            }

            _c |= flags;
            if ((_c & _b & (AlarmInterrupt | UpdateInterrupt)) != 0)
            {
                _c |= AnyInterrupt;
                _line.SetLevel(true);
            }

            Arm();
        }
    }

    /// <summary>Alarm bytes from 0xC0 mean any value.</summary>
    private bool Matches(int alarm, int current) => _memory[alarm] >= 0xC0 || _memory[alarm] == _memory[current];

    private static bool IsTime(int index) => index is 0 or 2 or 4 or (>= 6 and <= 9) or Century;

    private void StoreTime(DateTimeOffset now)
    {
        _memory[0] = Encode(now.Second);
        _memory[2] = Encode(now.Minute);
        _memory[4] = EncodeHour(now.Hour);
        _memory[6] = Encode((int)now.DayOfWeek + 1);
        _memory[7] = Encode(now.Day);
        _memory[8] = Encode(now.Month);
        _memory[9] = Encode(now.Year % 100);
        _memory[Century] = Encode(now.Year / 100);
    }

    private void TakeTime()
    {
        int year = (Decode(_memory[Century]) * 100) + Decode(_memory[9]);
        int month = Decode(_memory[8]);
        int day = Decode(_memory[7]);
        int hour = DecodeHour(_memory[4]);
        int minute = Decode(_memory[2]);
        int second = Decode(_memory[0]);

        // What is no date (half-written, or nonsense) leaves the clock where it was.
        if (year is >= 1900 and <= 9999 && month is >= 1 and <= 12 && day >= 1 && day <= DateTime.DaysInMonth(year, month)
            && hour is >= 0 and <= 23 && minute is >= 0 and <= 59 && second is >= 0 and <= 59)
        {
            _offset = new DateTimeOffset(year, month, day, hour, minute, second, TimeSpan.Zero) - _time.GetUtcNow();
            Arm();
        }
    }

    private byte Encode(int value) => (byte)((_b & Binary) != 0 ? value : ((value / 10) << 4) | (value % 10));

    private int Decode(byte value) => (_b & Binary) != 0 ? value : ((value >> 4) * 10) + (value & 0xF);

    private byte EncodeHour(int hour)
    {
        if ((_b & Hour24) != 0)
        {
            return Encode(hour);
        }

        int twelve = hour % 12 == 0 ? 12 : hour % 12;
        return (byte)(Encode(twelve) | (hour >= 12 ? 0x80 : 0));
    }

    private int DecodeHour(byte value)
    {
        if ((_b & Hour24) != 0)
        {
            return Decode(value);
        }

        int twelve = Decode((byte)(value & 0x7F)) % 12;
        return twelve + ((value & 0x80) != 0 ? 12 : 0);
    }
}
