using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using System.Text.Json;

namespace Vmm.DeviceModel.State;

/// <summary>Names and values of one component at one moment, for people (text) and programs (JSON).</summary>
/// <remarks>Made and read by one thread.</remarks>
/// <param name="name">The component's name.</param>
public sealed class InspectionNode(string name)
{
    private readonly List<InspectionValue> _values = [];
    private readonly List<InspectionNode> _parts = [];

    /// <summary>The component's name.</summary>
    public string Name { get; } = name;

    /// <summary>Its values, in the order in which they were added.</summary>
    public IReadOnlyList<InspectionValue> Values => _values;

    /// <summary>The nodes of its parts.</summary>
    public IReadOnlyList<InspectionNode> Parts => _parts;

    /// <summary>Adds a text.</summary>
    /// <param name="name">Of the value.</param>
    /// <param name="value">The text.</param>
    public void Add(string name, string value) => _values.Add(new InspectionValue(name, value, null));

    /// <summary>Adds a truth.</summary>
    /// <param name="name">Of the value.</param>
    /// <param name="value">The value.</param>
    public void Add(string name, bool value) => _values.Add(new InspectionValue(name, value ? "yes" : "no", value ? 1 : 0) { IsTruth = true });

    /// <summary>Adds a count or an amount.</summary>
    /// <param name="name">Of the value.</param>
    /// <param name="value">The number.</param>
    public void Add(string name, long value)
    {
        _values.Add(new InspectionValue(name, value.ToString(CultureInfo.InvariantCulture), value));
    }

    /// <summary>Adds a register or an address, shown in hexadecimal.</summary>
    /// <param name="name">Of the value.</param>
    /// <param name="value">The bits.</param>
    /// <param name="width">Bytes of the register: 1, 2, 4 or 8.</param>
    public void AddBits(string name, ulong value, int width)
    {
        string text = "0x" + value.ToString("x" + (width * 2).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        _values.Add(new InspectionValue(name, text, value));
    }

    /// <summary>Adds the node of a part.</summary>
    /// <param name="part">The node.</param>
    public void Add(InspectionNode part) => _parts.Add(part);

    /// <summary>Adds a node for a part that is no component, and gives it back.</summary>
    /// <param name="part">Its name.</param>
    public InspectionNode AddPart(string part)
    {
        var node = new InspectionNode(part);
        _parts.Add(node);
        return node;
    }

    /// <summary>The part with a name, or null.</summary>
    /// <param name="part">Its name.</param>
    public InspectionNode? Find(string part) => _parts.Find(node => node.Name == part);

    /// <summary>The text of the value with a name, or null.</summary>
    /// <param name="value">Its name.</param>
    public string? TextOf(string value) => _values.Find(one => one.Name == value)?.Text;

    /// <summary>The tree as text: a line a component and a line a value, indented.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        WriteText(text, 0);
        return text.ToString();
    }

    /// <summary>The tree as indented JSON: an object a component; bits and amounts as numbers, truths as true and false, parts under <c>parts</c>.</summary>
    public string ToJson()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            WriteJson(writer);
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private void WriteText(StringBuilder text, int depth)
    {
        text.Append(' ', depth * 2).Append(Name).Append('\n');
        foreach (InspectionValue value in _values)
        {
            text.Append(' ', (depth + 1) * 2).Append(value.Name).Append(": ").Append(value.Text).Append('\n');
        }

        foreach (InspectionNode part in _parts)
        {
            part.WriteText(text, depth + 1);
        }
    }

    private void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("name", Name);
        writer.WriteStartObject("values");
        foreach (InspectionValue value in _values)
        {
            writer.WritePropertyName(value.Name);
            value.WriteJson(writer);
        }

        writer.WriteEndObject();
        if (_parts.Count != 0)
        {
            writer.WriteStartArray("parts");
            foreach (InspectionNode part in _parts)
            {
                part.WriteJson(writer);
            }

            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }
}
