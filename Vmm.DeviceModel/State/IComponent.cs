using System;
using System.Collections.Generic;

namespace Vmm.DeviceModel.State;

/// <summary>A part of a machine that has a name, parts of its own, and state that a guest can see.</summary>
/// <remarks>
/// One walk over the parts (<see cref="ComponentTree"/>) saves, restores and shows a machine. Inspecting is for any thread at any time, while
/// the machine runs. Saving and restoring are for one thread, while nothing of the component runs: its vCPUs and its workers are paused.
/// </remarks>
public interface IComponent
{
    /// <summary>Tells it from its siblings, for example <c>03.0</c>, <c>queue0</c>; the same in every run.</summary>
    string Name { get; }

    /// <summary>Its parts, in the order in which they are restored: what others depend on comes first. They follow their owner.</summary>
    IReadOnlyList<IComponent> Parts => [];

    /// <summary>Writes down names and values as they are now. No side effect on the guest, no wait, no lock that an access needs for long.</summary>
    /// <param name="node">The component's own node; parts have theirs.</param>
    void Inspect(InspectionNode node);

    /// <summary>The state of the component itself, without its parts; null if it has none.</summary>
    /// <exception cref="InvalidOperationException">It is not paused, or requests are in flight.</exception>
    SavedState? Save() => null;

    /// <summary>Checks a state, of which nothing takes effect yet.</summary>
    /// <param name="state">From <see cref="Save"/> of a component of the same kind, perhaps in another process, perhaps tampered with.</param>
    /// <returns>Makes it take effect, through what a guest's writes go through too. Fails for reasons of the host alone.</returns>
    /// <exception cref="StateException">The state does not fit; nothing has changed.</exception>
    Action PrepareRestore(SavedState state) => throw new StateException("kind", "no state", state.Kind);
}
