using System;
using Vmm.DeviceModel.State;
using Vmm.Machine.State;

namespace Vmm.Machine.Devices;

/// <content>The port as a part of a machine: saved, restored and shown.</content>
public sealed partial class SerialPort : IComponent
{
    private const byte KeptFifoControl = 0xC9;
    private const byte ModemDeltaBits = 0xF;

    string IComponent.Name => "serial";

    /// <inheritdoc/>
    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        Registers.Inspect(node);
        lock (_lock)
        {
            node.Add("received", _receive.Count);
            node.Add("interrupt", _asserted);
        }
    }

    /// <inheritdoc/>
    public SavedState Save()
    {
        lock (_lock)
        {
            var state = new SerialState
            {
                InterruptEnable = (byte)_interruptEnable,
                FifoControl = _fifoControl,
                LineControl = _lineControl,
                ModemControl = (byte)_modemControl,
                LineErrors = (byte)_errors,
                ModemDeltas = _modemDeltas,
                Scratch = _scratch,
                Divisor = _divisor,
                TransmitterOwed = _transmitterPending || _transmitterDeferred,
                Received = _receive.ToArray(),
            };
            return SavedState.Of(SerialState.Kind, SerialState.Version, state, MachineStateJson.Default.SerialState);
        }
    }

    /// <inheritdoc/>
    public Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        SerialState port = state.Read(SerialState.Kind, SerialState.Version, MachineStateJson.Default.SerialState);
        StateBits.Require("interruptEnable", port.InterruptEnable, (byte)InterruptEnable.All);
        StateBits.Require("modemControl", port.ModemControl, (byte)ModemControl.All);
        StateBits.Require("lineErrors", port.LineErrors, (byte)LineStatus.Overrun);
        StateBits.Require("modemDeltas", port.ModemDeltas, ModemDeltaBits);
        bool fifos = (port.FifoControl & 1) != 0;
        StateBits.Require("fifoControl", port.FifoControl, fifos ? KeptFifoControl : (byte)0);
        int depth = fifos ? FifoDepth : 1;
        SavedState.Require(port.Received.Count <= depth, "received", $"up to {depth} characters", port.Received.Count);
        return () => Restore(port);
    }

    private void Restore(SerialState state)
    {
        lock (_lock)
        {
            _interruptEnable = (InterruptEnable)state.InterruptEnable;
            _fifoControl = state.FifoControl;
            _lineControl = state.LineControl;
            _modemControl = (ModemControl)state.ModemControl;
            _errors = (LineStatus)state.LineErrors;
            _modemDeltas = state.ModemDeltas;
            _scratch = state.Scratch;
            _divisor = state.Divisor;
            _receive.Clear();
            foreach (byte character in state.Received)
            {
                _receive.Add(character);
            }

            // Whether there is room is the sink's to say, which is another one perhaps.
            (_transmitterPending, _transmitterDeferred) = (false, state.TransmitterOwed);
            EndBurst();
            UpdateLine();
        }

        Tell(room: true);
    }
}
