using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.State;

namespace Vmm.DeviceModel.Registers;

/// <summary>The registers of one device, as a region that answers accesses and that traces and inspection can name.</summary>
public interface IRegisterBlock : IRegionHandler, IRegionNames
{
    /// <summary>Name of the block, for example <c>common_cfg</c>.</summary>
    string Name { get; }

    /// <summary>Bytes, those of gaps too.</summary>
    int Length { get; }

    /// <summary>The lines of the table, by offset.</summary>
    IReadOnlyList<RegisterInfo> Registers { get; }

    /// <summary>Reads a register without a side effect.</summary>
    /// <param name="register">A line of <see cref="Registers"/>.</param>
    /// <param name="index">Which register of an array, from 0.</param>
    /// <param name="value">Its value.</param>
    /// <returns>False if reading it would change something or tells nothing (<see cref="RegisterInfo.ReadsSafely"/>).</returns>
    bool TryPeek(in RegisterInfo register, int index, out ulong value);

    /// <summary>Writes down the names and values of the registers that are read without a side effect. For any thread, at any time.</summary>
    /// <param name="node">Of the component whose registers these are.</param>
    void Inspect(InspectionNode node);
}
