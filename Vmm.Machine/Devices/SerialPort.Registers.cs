using System;

namespace Vmm.Machine.Devices;

/// <content>What the bits of the registers mean (PC16550D, table 2), and the FIFO.</content>
public sealed partial class SerialPort
{
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
    }
}
