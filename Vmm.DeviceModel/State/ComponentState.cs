using System.Collections.Generic;
using System.Text.Json;

namespace Vmm.DeviceModel.State;

/// <summary>The saved state of a component and of its parts.</summary>
/// <param name="Name">The component's name among its siblings.</param>
/// <param name="State">Its own state, or null if it has none.</param>
/// <param name="Parts">Those of its parts, in their order; null for none.</param>
public sealed record ComponentState(string Name, SavedState? State = null, IReadOnlyList<ComponentState>? Parts = null)
{
    /// <summary>Deepest nesting that is read; a machine's is below twenty.</summary>
    internal const int MaximumDepth = 64;

    /// <summary>The tree as indented JSON, the same bytes for the same state.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StateJson.Default.ComponentState);

    /// <summary>Reads a tree from JSON.</summary>
    /// <param name="json">As <see cref="ToJson"/> wrote it, or tampered with.</param>
    /// <exception cref="StateException">It is not such a tree.</exception>
    public static ComponentState FromJson(string json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, StateJson.Default.ComponentState) ?? throw new StateException("$", "a component", "null");
        }
        catch (JsonException e)
        {
            throw new StateException(e.Path ?? "$", "the state of a component", e.Message, e);
        }
    }
}
