using System;
using System.Text.Json;

namespace Vmm.DeviceModel.State;

/// <summary>One named value of an <see cref="InspectionNode"/>.</summary>
/// <param name="Name">For example the name of a register.</param>
/// <param name="Text">As people read it.</param>
/// <param name="Number">As programs read it, or null for a text.</param>
public sealed record InspectionValue(string Name, string Text, Int128? Number)
{
    /// <summary>The number stands for true or false.</summary>
    public bool IsTruth { get; init; }

    internal void WriteJson(Utf8JsonWriter writer)
    {
        if (Number is not { } number)
        {
            writer.WriteStringValue(Text);
        }
        else if (IsTruth)
        {
            writer.WriteBooleanValue(number != 0);
        }
        else if (number < 0)
        {
            writer.WriteNumberValue((long)number);
        }
        else
        {
            writer.WriteNumberValue((ulong)number);
        }
    }
}
