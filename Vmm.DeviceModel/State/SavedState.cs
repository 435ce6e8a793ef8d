using System;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Vmm.DeviceModel.State;

/// <summary>The state of one component under its kind and version.</summary>
/// <param name="Kind">The type of component, for example <c>serial</c>; never changes.</param>
/// <param name="Version">Counts the forms that this kind has had, from 1. Earlier ones are read for ever.</param>
/// <param name="Data">The component's record, as JSON.</param>
public sealed record SavedState(string Kind, int Version, JsonElement Data)
{
    /// <summary>Puts a record under a kind and a version.</summary>
    /// <typeparam name="T">The record, <c>XxxState</c>.</typeparam>
    /// <param name="kind">Of the component.</param>
    /// <param name="version">Of the record.</param>
    /// <param name="state">The record.</param>
    /// <param name="type">How it becomes JSON; from a generated context.</param>
    public static SavedState Of<T>(string kind, int version, T state, JsonTypeInfo<T> type)
    {
        return new SavedState(kind, version, JsonSerializer.SerializeToElement(state, type));
    }

    /// <summary>The record.</summary>
    /// <typeparam name="T">The record.</typeparam>
    /// <param name="kind">The component's kind.</param>
    /// <param name="version">The version that it understands.</param>
    /// <param name="type">Disallows unmapped members, so that nothing is dropped silently.</param>
    /// <exception cref="StateException">Another kind, an unknown version, a member that is unknown or missing, or a value of another type.</exception>
    public T Read<T>(string kind, int version, JsonTypeInfo<T> type)
        where T : class
    {
        if (Kind != kind)
        {
            throw new StateException("kind", kind, Kind);
        }

        if (Version != version)
        {
            throw new StateException("version", version.ToString(CultureInfo.InvariantCulture), Version.ToString(CultureInfo.InvariantCulture));
        }

        try
        {
            return Data.Deserialize(type) ?? throw new StateException("data", "an object", "null");
        }
        catch (JsonException e)
        {
            throw new StateException(MemberOf(e), "a value of the member's type and no other members", FirstLine(e.Message), e);
        }
    }

    /// <summary>Refuses a state whose value cannot be.</summary>
    /// <param name="holds">False refuses.</param>
    /// <param name="member">Path of the value inside the record, for example <c>queues[2].size</c>.</param>
    /// <param name="expected">The values that it may have.</param>
    /// <param name="found">Its value.</param>
    /// <exception cref="StateException">It does not hold.</exception>
    public static void Require(bool holds, string member, string expected, object? found)
    {
        if (!holds)
        {
            throw new StateException(member, expected, Convert.ToString(found, CultureInfo.InvariantCulture) ?? "nothing");
        }
    }

    private static string MemberOf(JsonException e) => e.Path is { Length: > 2 } path ? path[2..] : "data";

    private static string FirstLine(string message)
    {
        int end = message.IndexOf(" Path:", StringComparison.Ordinal);
        return (end < 0 ? message : message[..end]).ReplaceLineEndings(" ");
    }
}
