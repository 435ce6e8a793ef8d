using System;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Registers;

namespace Vmm.Machine.Devices;

/// <summary>A 16550A: the serial port of a PC, with its FIFOs, at an unlimited line rate (National Semiconductor PC16550D, section 8).</summary>
/// <remarks>
/// Thread-safe: registers are accessed by vCPU threads, characters arrive on the sender's thread. The one lock covers the registers and the
/// calls to the interrupt line and to the sink, which take no lock of ours; <see cref="InputRoom"/> is raised outside it.
/// <para>
/// The transmitter is empty as soon as the sink has taken a character, so a driver that loops until no interrupt is pending would never leave
/// its loop while somebody refills its buffer. So after a few transmitter interrupts in a row the next one waits until the driver has seen
/// "none pending" or the sink has drained, whichever comes first.
/// </para>
/// </remarks>
public sealed partial class SerialPort
{
    /// <summary>Ports of the device.</summary>
    public const int Length = 8;

    /// <summary>Depth of the FIFOs.</summary>
    public const int FifoDepth = 16;

    private const int BurstLimit = 8;

    private static readonly int[] TriggerLevels = [1, 4, 8, 14];

    private readonly Lock _lock = new();
    private readonly IInterruptLine _line;
    private readonly ICharacterSink _sink;
    private readonly ReceiveFifo _receive = new();
    private InterruptEnable _interruptEnable;
    private LineStatus _errors;
    private ModemControl _modemControl;
    private byte _modemDeltas;
    private byte _fifoControl;
    private byte _lineControl;
    private byte _scratch;
    private ushort _divisor = 12;
    private bool _transmitterPending;
    private bool _transmitterDeferred;
    private int _burst;
    private bool _asserted;

    /// <summary>Makes a port in its reset state.</summary>
    /// <param name="line">Asserted while an enabled interrupt is pending and the driver has set OUT2, which gates it on a PC.</param>
    /// <param name="sink">Takes what is transmitted.</param>
    public SerialPort(IInterruptLine line, ICharacterSink sink)
    {
        ArgumentNullException.ThrowIfNull(line);
        ArgumentNullException.ThrowIfNull(sink);
        _line = line;
        _sink = sink;
        sink.Drained += OnDrained;
        Registers = Map.Bind(this);
    }

    /// <summary>The ports.</summary>
    public IRegisterBlock Registers { get; }

    /// <summary>The receiver has room again after <see cref="Receive"/> had to refuse something. Raised on a vCPU thread.</summary>
    public event Action? InputRoom;

    private bool FifosEnabled => (_fifoControl & 1) != 0;

    private int ReceiveDepth => FifosEnabled ? FifoDepth : 1;

    private bool DivisorLatch => (_lineControl & 0x80) != 0;

    private bool IsLoopback => (_modemControl & ModemControl.Loop) != 0;

    /// <summary>How many characters <see cref="Receive"/> would take now.</summary>
    public int ReceiveRoom
    {
        get
        {
            lock (_lock)
            {
                return IsLoopback ? 0 : ReceiveDepth - _receive.Count;
            }
        }
    }

    /// <summary>Characters arrive on the line.</summary>
    /// <param name="characters">What arrives.</param>
    /// <returns>How many fitted; the rest should be offered again at <see cref="InputRoom"/>. None do in loopback mode.</returns>
    public int Receive(ReadOnlySpan<byte> characters)
    {
        lock (_lock)
        {
            int count = IsLoopback ? 0 : Math.Min(characters.Length, ReceiveDepth - _receive.Count);
            for (int i = 0; i < count; i++)
            {
                _receive.Add(characters[i]);
            }

            UpdateLine();
            return count;
        }
    }

    private void Transmit(byte value)
    {
        _transmitterPending = false;
        if (IsLoopback)
        {
            if (_receive.Count == ReceiveDepth)
            {
                _errors |= LineStatus.Overrun;
            }
            else
            {
                _receive.Add(value);
            }

            _transmitterPending = true;
            return;
        }

        _sink.Write(value);
        if (_burst < BurstLimit && _sink.HasRoom)
        {
            _transmitterPending = true;
        }
        else
        {
            _transmitterDeferred = true;
        }
    }

    private void EnableInterrupts(InterruptEnable value)
    {
        // Enabling the transmitter interrupt while the transmitter is empty raises it at once; drivers test for this.
        InterruptEnable raised = value & ~_interruptEnable;
        _interruptEnable = value;
        if ((raised & InterruptEnable.TransmitterEmpty) != 0 && _sink.HasRoom)
        {
            _transmitterPending = true;
        }
    }

    private void ControlFifos(byte value)
    {
        bool toggled = ((value ^ _fifoControl) & 1) != 0;
        if (toggled || (value & 3) == 3)
        {
            _receive.Clear();
        }

        // The other bits can be programmed only together with the enable bit.
        _fifoControl = (value & 1) != 0 ? (byte)(value & 0xC9) : (byte)0;
    }

    private void ControlModem(ModemControl value)
    {
        byte before = ModemStatus();
        _modemControl = value;
        byte after = ModemStatus();
        byte changed = (byte)((before ^ after) >> 4);
        bool ringEnded = (before & ~after & 0x40) != 0;         // the ring indicator counts at its trailing edge only
        _modemDeltas |= (byte)((changed & 0b1011) | (ringEnded ? 0b0100 : 0));
    }

    private byte ModemStatus()
    {
        if (!IsLoopback)
        {
            return 0xB0;                                        // carrier, data set ready, clear to send
        }

        int status = 0;
        status |= (_modemControl & ModemControl.RequestToSend) != 0 ? 0x10 : 0;
        status |= (_modemControl & ModemControl.DataTerminalReady) != 0 ? 0x20 : 0;
        status |= (_modemControl & ModemControl.Out1) != 0 ? 0x40 : 0;
        status |= (_modemControl & ModemControl.Out2) != 0 ? 0x80 : 0;
        return (byte)status;
    }

    private byte TakeLineStatus()
    {
        LineStatus status = _errors;
        _errors = LineStatus.None;
        if (_receive.Count != 0)
        {
            status |= LineStatus.DataReady;
        }

        if (_sink.HasRoom)
        {
            status |= LineStatus.TransmitterHoldingEmpty | LineStatus.TransmitterEmpty;
        }

        return (byte)status;
    }

    private byte TakeInterruptIdentification()
    {
        byte source = PendingInterrupt();
        if (source == Identification.TransmitterEmpty)
        {
            _transmitterPending = false;
            _burst++;
        }
        else if (source == Identification.None)
        {
            EndBurst();
        }

        return (byte)(source | (FifosEnabled ? 0xC0 : 0));
    }

    private void OnDrained()
    {
        lock (_lock)
        {
            EndBurst();
            UpdateLine();
        }
    }

    private void EndBurst()
    {
        _burst = 0;
        if (_transmitterDeferred && _sink.HasRoom)
        {
            _transmitterDeferred = false;
            _transmitterPending = true;
        }
    }

    /// <summary>The pending interrupt of the highest priority (table 4 of the data sheet).</summary>
    private byte PendingInterrupt()
    {
        if ((_interruptEnable & InterruptEnable.LineStatus) != 0 && _errors != LineStatus.None)
        {
            return Identification.LineStatus;
        }

        if ((_interruptEnable & InterruptEnable.ReceivedData) != 0 && _receive.Count != 0)
        {
            // Nothing is on its way at this line rate: below the trigger level the time-out is over already.
            bool triggered = !FifosEnabled || _receive.Count >= TriggerLevels[_fifoControl >> 6];
            return triggered ? Identification.ReceivedData : Identification.CharacterTimeout;
        }

        if ((_interruptEnable & InterruptEnable.TransmitterEmpty) != 0 && _transmitterPending)
        {
            return Identification.TransmitterEmpty;
        }

        if ((_interruptEnable & InterruptEnable.ModemStatus) != 0 && _modemDeltas != 0)
        {
            return Identification.ModemStatus;
        }

        return Identification.None;
    }

    private void UpdateLine()
    {
        bool asserted = (_modemControl & ModemControl.Out2) != 0 && PendingInterrupt() != Identification.None;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            _line.SetLevel(asserted);
        }
    }
}
