using System;
using System.Collections.Generic;
using System.Globalization;
using Vmm.DeviceModel.State;
using Vmm.Machine.State;

namespace Vmm.Machine.Devices;

/// <content>The clock as a part of a machine: saved, restored and shown.</content>
public sealed partial class RealTimeClock : IComponent
{
    private const byte FlagBits = AnyInterrupt | AlarmInterrupt | UpdateInterrupt;

    string IComponent.Name => "rtc";

    /// <inheritdoc/>
    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        lock (_lock)
        {
            node.Add("time", Now.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
            node.Add("stopped", IsStopped);
            node.AddBits("index", (ulong)_index, 1);
            node.AddBits("register_a", _a, 1);
            node.AddBits("register_b", _b, 1);
            node.AddBits("register_c", _c, 1);
        }
    }

    /// <inheritdoc/>
    public SavedState Save()
    {
        lock (_lock)
        {
            var cells = new List<ClockCell>();
            for (int i = 0; i < MemoryLength; i++)
            {
                if (_memory[i] != 0 && (IsStopped || !IsTime(i)))
                {
                    cells.Add(new ClockCell(i, _memory[i]));
                }
            }

            var state = new ClockState { Index = (byte)_index, A = _a, B = _b, C = _c, Offset = _offset.Ticks, Memory = cells };
            return SavedState.Of(ClockState.Kind, ClockState.Version, state, MachineStateJson.Default.ClockState);
        }
    }

    /// <inheritdoc/>
    public Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        ClockState clock = state.Read(ClockState.Kind, ClockState.Version, MachineStateJson.Default.ClockState);
        SavedState.Require(clock.Index < MemoryLength, "index", $"below {MemoryLength}", clock.Index);
        StateBits.Require("a", clock.A, RateBits);
        StateBits.Require("b", clock.B, ControlBits);
        StateBits.Require("c", clock.C, FlagBits);
        bool stopped = (clock.B & Set) != 0;
        SavedState.Require(!stopped || (clock.B & UpdateInterrupt) == 0, "b", "no update interrupt of a clock that is stopped", $"0x{clock.B:x2}");

        // Between any two times that there are.
        long limit = DateTime.MaxValue.Ticks;
        SavedState.Require(clock.Offset >= -limit && clock.Offset <= limit, "offset", $"{-limit} to {limit}", clock.Offset);
        int last = -1;
        foreach (ClockCell cell in clock.Memory)
        {
            SavedState.Require(cell is not null, "memory", "bytes", "null");
            int index = cell!.Index;
            bool fits = index > last && index < MemoryLength && index is < RegisterA or > RegisterD && (stopped || !IsTime(index));
            SavedState.Require(fits, "memory.index", $"ascending, below {MemoryLength}, no register, and no time of a clock that runs", index);
            last = index;
        }

        return () => Restore(clock);
    }

    private void Restore(ClockState state)
    {
        lock (_lock)
        {
            (_index, _a, _b, _c, _offset) = (state.Index, state.A, state.B, state.C, TimeSpan.FromTicks(state.Offset));
            Array.Clear(_memory);
            foreach (ClockCell cell in state.Memory)
            {
                _memory[cell.Index] = cell.Value;
            }

            if (!IsStopped)
            {
                StoreTime(Now);
            }

            _line.SetLevel((_c & AnyInterrupt) != 0);
            Arm();
        }
    }
}
