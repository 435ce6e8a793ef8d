using System;
using Vmm.DeviceModel.Registers;

namespace Vmm.Machine.Devices;

/// <content>The registers, what their bits mean (PC16550D, table 2), and the FIFO.</content>
public sealed partial class SerialPort
{
    /// <summary>Names are those of the data sheet's table 2; the divisor latch lies over the first two registers while DLAB is set.</summary>
    internal static readonly RegisterMap<SerialPort> Map = new("serial", Length, RegisterPolicy.Bytes)
    {
        { 0, 1, RegisterAccess.ReadSideEffect, "rbr_thr_dll", static p => p.ReadData(), static (p, v) => p.WriteData((byte)v) },
        { 1, 1, RegisterAccess.ReadWrite, "ier_dlm", static p => p.ReadInterruptEnable(), static (p, v) => p.WriteInterruptEnable((byte)v) },
        { 2, 1, RegisterAccess.ReadSideEffect, "iir_fcr", static p => p.ReadIdentification(), static (p, v) => p.WriteFifoControl((byte)v) },
        { 3, 1, RegisterAccess.ReadWrite, "lcr", static p => p._lineControl, static (p, v) => p.WriteLineControl((byte)v) },
        { 4, 1, RegisterAccess.ReadWrite, "mcr", static p => (byte)p._modemControl, static (p, v) => p.WriteModemControl((byte)v) },
        { 5, 1, RegisterAccess.ReadSideEffect, "lsr", static p => p.ReadLineStatus() },
        { 6, 1, RegisterAccess.ReadSideEffect, "msr", static p => p.ReadModemStatus() },
        { 7, 1, RegisterAccess.ReadWrite, "scr", static p => p._scratch, static (p, v) => p._scratch = (byte)v },
    };

    [Flags]
    private enum InterruptEnable : byte
    {
        ReceivedData = 1,
        TransmitterEmpty = 2,
        LineStatus = 4,
        ModemStatus = 8,
        All = 0xF,
    }

    [Flags]
    private enum LineStatus : byte
    {
        None = 0,
        DataReady = 1,
        Overrun = 2,
        TransmitterHoldingEmpty = 0x20,
        TransmitterEmpty = 0x40,
    }

    [Flags]
    private enum ModemControl : byte
    {
        DataTerminalReady = 1,
        RequestToSend = 2,
        Out1 = 4,
        Out2 = 8,
        Loop = 0x10,
        All = 0x1F,
    }

    private byte ReadData()
    {
        bool room;
        byte value;
        lock (_lock)
        {
            if (DivisorLatch)
            {
                return (byte)_divisor;
            }

            room = _receive.Count != 0;
            value = _receive.Take();
            UpdateLine();
        }

        Tell(room);
        return value;
    }

    private void WriteData(byte value)
    {
        lock (_lock)
        {
            if (DivisorLatch)
            {
                _divisor = (ushort)((_divisor & 0xFF00) | value);
                return;
            }

            Transmit(value);
            UpdateLine();
        }
    }

    private byte ReadInterruptEnable()
    {
        lock (_lock)
        {
            return DivisorLatch ? (byte)(_divisor >> 8) : (byte)_interruptEnable;
        }
    }

    private void WriteInterruptEnable(byte value)
    {
        lock (_lock)
        {
            if (DivisorLatch)
            {
                _divisor = (ushort)((_divisor & 0x00FF) | (value << 8));
                return;
            }

            EnableInterrupts((InterruptEnable)value & InterruptEnable.All);
            UpdateLine();
        }
    }

    private byte ReadIdentification()
    {
        lock (_lock)
        {
            byte value = TakeInterruptIdentification();
            UpdateLine();
            return value;
        }
    }

    private void WriteFifoControl(byte value)
    {
        bool room;
        lock (_lock)
        {
            room = _receive.Count != 0;
            ControlFifos(value);
            UpdateLine();
        }

        Tell(room);
    }

    private void WriteLineControl(byte value)
    {
        lock (_lock)
        {
            _lineControl = value;
        }
    }

    private void WriteModemControl(byte value)
    {
        bool room;
        lock (_lock)
        {
            room = IsLoopback;
            ControlModem((ModemControl)value & ModemControl.All);
            UpdateLine();
        }

        Tell(room);
    }

    private byte ReadLineStatus()
    {
        lock (_lock)
        {
            byte value = TakeLineStatus();
            UpdateLine();
            return value;
        }
    }

    private byte ReadModemStatus()
    {
        lock (_lock)
        {
            byte value = (byte)(ModemStatus() | _modemDeltas);
            _modemDeltas = 0;
            UpdateLine();
            return value;
        }
    }

    private void Tell(bool room)
    {
        if (room)
        {
            InputRoom?.Invoke();
        }
    }

    /// <summary>The source of an interrupt, as the identification register names it (table 4).</summary>
    private static class Identification
    {
        public const byte ModemStatus = 0x0;
        public const byte None = 0x1;
        public const byte TransmitterEmpty = 0x2;
        public const byte ReceivedData = 0x4;
        public const byte LineStatus = 0x6;
        public const byte CharacterTimeout = 0xC;
    }

    /// <summary>Characters that have arrived and were not read. Whoever adds looks for room first.</summary>
    private sealed class ReceiveFifo
    {
        private readonly byte[] _characters = new byte[FifoDepth];
        private int _head;

        public int Count { get; private set; }

        public void Add(byte value) => _characters[(_head + Count++) % FifoDepth] = value;

        /// <summary>The oldest character; zero if there is none.</summary>
        public byte Take()
        {
            if (Count == 0)
            {
                return 0;
            }

            byte value = _characters[_head];
            _head = (_head + 1) % FifoDepth;
            Count--;
            return value;
        }

        public void Clear() => Count = 0;

        /// <summary>The characters, the oldest first.</summary>
        public byte[] ToArray()
        {
            byte[] characters = new byte[Count];
            for (int i = 0; i < characters.Length; i++)
            {
                characters[i] = _characters[(_head + i) % FifoDepth];
            }

            return characters;
        }
    }
}
