using System;
using System.Collections.Generic;
using System.Globalization;
using Vmm.DeviceModel.State;

namespace Vmm.DeviceModel.Registers;

/// <summary>A register map bound to the device whose registers it describes.</summary>
/// <typeparam name="TDevice">The device that the handlers of the map work on.</typeparam>
internal sealed class RegisterBlock<TDevice>(RegisterMap<TDevice> map, TDevice device) : IRegisterBlock
{
    public string Name => map.Name;

    public int Length => map.Length;

    public IReadOnlyList<RegisterInfo> Registers { get; } = [.. map];

    public ulong Read(ulong offset, int width) => map.Read(device, offset, width);

    public void Write(ulong offset, int width, ulong value) => map.Write(device, offset, width, value);

    public string Describe(ulong offset, int selected) => map.Describe(offset, selected);

    public int SelectedAt(ulong offset) => map.SelectedAt(device, offset);

    public bool TryPeek(in RegisterInfo register, int index, out ulong value)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)register.Count, nameof(index));
        value = register.ReadsSafely ? map.Read(device, (ulong)(register.Offset + (index * register.Stride)), register.Width) : 0;
        return register.ReadsSafely;
    }

    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        foreach (RegisterInfo register in Registers)
        {
            for (int index = 0; index < register.Count; index++)
            {
                if (TryPeek(register, index, out ulong value))
                {
                    string element = register.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $"[{index}]") : "";
                    node.AddBits(register.Name + element, value, register.Width);
                }
            }
        }
    }
}
