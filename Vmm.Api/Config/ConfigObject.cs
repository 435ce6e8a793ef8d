using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.Json;
using Vmm.Machine.Control;

namespace Vmm.Api.Config;

/// <summary>
/// An object of a request's body, whose members are taken one by one; what is left in the end is accepted or refused by name (CTL-1).
/// </summary>
/// <remarks>
/// A member that nobody takes is refused if it says something: null, false, 0, an empty text, and lists and objects of nothing but these say
/// nothing. So a client that writes out every default is served, and one that asks for what is not here hears of it.
/// </remarks>
internal sealed class ConfigObject
{
    private readonly Dictionary<string, JsonElement> _members;
    private readonly string _path;

    /// <param name="element">The object.</param>
    /// <param name="path">Where it is, for messages: <c>disks[0]</c>.</param>
    /// <param name="isRoot">Its members are named without the path.</param>
    public ConfigObject(JsonElement element, string path, bool isRoot = false)
    {
        _path = isRoot ? "" : path;
        _members = element.EnumerateObject().ToDictionary(static member => member.Name, static member => member.Value, StringComparer.Ordinal);
    }

    /// <summary>Where a member is, for messages.</summary>
    public string PathOf(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    /// <summary>A complaint about a member.</summary>
    public ControlException Bad(string name, string reason) => new(ControlError.BadRequest, $"{PathOf(name)}: {reason}");

    /// <summary>Takes a text; null where it is absent or null.</summary>
    public string? TakeText(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } value => ReadText(value) ?? throw Bad(name, "a text with a zero, or with half a character"),
        _ => throw Bad(name, "not a text"),
    };

    /// <summary>Takes a text that has to be there.</summary>
    public string RequireText(string name) => TakeText(name) ?? throw Bad(name, "is needed");

    /// <summary>Takes a truth.</summary>
    public bool TakeSwitch(string name, bool absent = false) => Take(name) switch
    {
        null => absent,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw Bad(name, "neither true nor false"),
    };

    /// <summary>Takes a whole number; null where it is absent or null.</summary>
    public ulong? TakeNumber(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when value.TryGetUInt64(out ulong number) => number,
        _ => throw Bad(name, "not a whole number from 0 to 2^64 - 1"),
    };

    /// <summary>Takes an object; null where it is absent or null.</summary>
    public ConfigObject? TakeObject(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new ConfigObject(value, PathOf(name)),
        _ => throw Bad(name, "not an object"),
    };

    /// <summary>Takes a list of objects; empty where it is absent or null.</summary>
    public IReadOnlyList<ConfigObject> TakeObjects(string name)
    {
        if (Take(name) is not { } list)
        {
            return [];
        }

        if (list.ValueKind != JsonValueKind.Array)
        {
            throw Bad(name, "not a list");
        }

        var objects = new List<ConfigObject>();
        foreach ((int index, JsonElement element) in list.EnumerateArray().Index())
        {
            string path = string.Create(CultureInfo.InvariantCulture, $"{PathOf(name)}[{index}]");
            objects.Add(element.ValueKind == JsonValueKind.Object
                ? new ConfigObject(element, path)
                : throw new ControlException(ControlError.BadRequest, $"{path}: not an object"));
        }

        return objects;
    }

    /// <summary>Takes members that make no difference to the guest, whatever they say.</summary>
    public void Ignore(params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            _members.Remove(name);
        }
    }

    /// <summary>Takes a member that may say one thing alone, which is how it is here.</summary>
    public void Expect(string name, params ReadOnlySpan<string> values)
    {
        if (_members.TryGetValue(name, out JsonElement value) && values.Contains(value.ToString()))
        {
            _members.Remove(name);
        }
    }

    /// <summary>Takes a member that is absent, null, or says how it is here; anything else, false and 0 too, is refused.</summary>
    public void Require(string name, string only)
    {
        if (Take(name) is { } value && !string.Equals(value.ToString(), only, StringComparison.OrdinalIgnoreCase))
        {
            throw Bad(name, $"{value} is not possible here, only {only}");
        }
    }

    /// <summary>Refuses what is left and says something.</summary>
    public void Finish()
    {
        foreach ((string name, JsonElement value) in _members)
        {
            if (SaysSomething(value))
            {
                throw Bad(name, "this VMM does not have it");
            }
        }
    }

    /// <returns>Null for a text that the host's calls cannot be given.</returns>
    private static string? ReadText(JsonElement value)
    {
        try
        {
            string text = value.GetString()!;
            return text.Contains('\0') ? null : text;
        }
        catch (InvalidOperationException)
        {
            // Half a character.
            return null;
        }
    }

    private static bool SaysSomething(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined or JsonValueKind.False => false,
        JsonValueKind.String => !value.ValueEquals(""),
        JsonValueKind.Number => !value.TryGetDouble(out double number) || number != 0,
        JsonValueKind.Array => value.EnumerateArray().Any(SaysSomething),
        JsonValueKind.Object => value.EnumerateObject().Any(static member => SaysSomething(member.Value)),
        _ => true,
    };

    private JsonElement? Take(string name)
    {
        return _members.Remove(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }
}
