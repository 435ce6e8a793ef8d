using System;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.State;
using Vmm.Machine.State;

namespace Vmm.Machine.Devices;

/// <summary>
/// The reset control register of PC chipsets at port 0xCF9, which lies inside the configuration address port and is told from it by its width.
/// </summary>
/// <remarks>Thread-safe: one byte. Everything that is not a byte access to the register goes on to the configuration ports.</remarks>
public sealed class ResetControl : IRegionHandler, IRegionNames, IRegionRouter, IComponent
{
    private const ulong RegisterOffset = 1;
    private const byte SystemReset = 1 << 1;
    private const byte ResetProcessor = 1 << 2;
    private const byte FullReset = 1 << 3;
    private const byte Kept = SystemReset | ResetProcessor | FullReset;

    private readonly IRegionHandler _configurationPorts;
    private byte _value;

    /// <summary>Puts the register into the configuration ports.</summary>
    /// <param name="configurationPorts">Answers 0xCF8 to 0xCFF otherwise.</param>
    public ResetControl(IRegionHandler configurationPorts)
    {
        ArgumentNullException.ThrowIfNull(configurationPorts);
        _configurationPorts = configurationPorts;
    }

    /// <summary>The guest set the reset bit. Raised on a vCPU thread, inside the access.</summary>
    public event Action? ResetRequested;

    string IComponent.Name => "reset-control";

    /// <inheritdoc/>
    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        node.AddBits("reset_control", Volatile.Read(ref _value), 1);
    }

    /// <inheritdoc/>
    public SavedState Save()
    {
        var state = new ResetState { Value = Volatile.Read(ref _value) };
        return SavedState.Of(ResetState.Kind, ResetState.Version, state, MachineStateJson.Default.ResetState);
    }

    /// <inheritdoc/>
    /// <remarks>A reset bit that is set already asks for no reset.</remarks>
    public Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        ResetState reset = state.Read(ResetState.Kind, ResetState.Version, MachineStateJson.Default.ResetState);
        StateBits.Require("value", reset.Value, Kept);
        return () => Volatile.Write(ref _value, reset.Value);
    }

    /// <inheritdoc/>
    public ulong Read(ulong offset, int width)
    {
        return offset == RegisterOffset && width == 1 ? Volatile.Read(ref _value) : _configurationPorts.Read(offset, width);
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value)
    {
        if (offset != RegisterOffset || width != 1)
        {
            _configurationPorts.Write(offset, width, value);
            return;
        }

        bool wasSet = (Volatile.Read(ref _value) & ResetProcessor) != 0;
        Volatile.Write(ref _value, (byte)(value & Kept));
        if (!wasSet && (value & ResetProcessor) != 0)
        {
            ResetRequested?.Invoke();
        }
    }

    /// <inheritdoc/>
    /// <remarks>A byte access to the register itself is to no function: that lies behind the data ports alone.</remarks>
    public bool TryRoute(ulong offset, [NotNullWhen(true)] out string? device, [NotNullWhen(true)] out IRegionNames? names, out ulong inside)
    {
        if (_configurationPorts is IRegionRouter router)
        {
            return router.TryRoute(offset, out device, out names, out inside);
        }

        (device, names, inside) = (null, null, 0);
        return false;
    }

    /// <inheritdoc/>
    public string Describe(ulong offset, int selected)
    {
        if (offset == RegisterOffset)
        {
            return "reset_control";
        }

        return _configurationPorts is IRegionNames names
            ? names.Describe(offset, selected)
            : string.Create(CultureInfo.InvariantCulture, $"configuration+0x{offset:x}");
    }
}
