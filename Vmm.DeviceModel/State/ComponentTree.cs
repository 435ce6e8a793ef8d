using System;
using System.Collections.Generic;
using System.Globalization;

namespace Vmm.DeviceModel.State;

/// <summary>The one walk over components: what saves, restores and shows a machine.</summary>
public static class ComponentTree
{
    /// <summary>Saves a component and its parts, all of them paused.</summary>
    /// <param name="root">The component.</param>
    /// <exception cref="InvalidOperationException">One of them is not paused or has requests in flight; the message names it.</exception>
    public static ComponentState Save(IComponent root)
    {
        ArgumentNullException.ThrowIfNull(root);
        SavedState? own = root.Save();
        IReadOnlyList<IComponent> parts = root.Parts;
        if (parts.Count == 0)
        {
            return new ComponentState(root.Name, own, null);
        }

        var states = new List<ComponentState>(parts.Count);
        foreach (IComponent part in parts)
        {
            states.Add(Save(part));
        }

        return new ComponentState(root.Name, own, states);
    }

    /// <summary>Restores a component and its parts, all of them paused: first everything is checked, then everything takes effect.</summary>
    /// <param name="root">A component of the same make.</param>
    /// <param name="state">From <see cref="Save"/>.</param>
    /// <exception cref="StateException">The state does not fit; nothing has changed.</exception>
    /// <exception cref="HostException">The host refused a step of a state that fits; the component is to be reset or disposed.</exception>
    public static void Restore(IComponent root, ComponentState state) => PrepareRestore(root, state)();

    /// <summary>Checks a state for a component and its parts, of which nothing takes effect yet.</summary>
    /// <param name="root">A component of the same make.</param>
    /// <param name="state">From <see cref="Save"/>.</param>
    /// <returns>Makes it take effect, in the order of the tree.</returns>
    /// <exception cref="StateException">The state does not fit; nothing has changed.</exception>
    public static Action PrepareRestore(IComponent root, ComponentState state)
    {
        ArgumentNullException.ThrowIfNull(root);
        ArgumentNullException.ThrowIfNull(state);
        var steps = new List<Action>();
        Collect(root, state, steps);
        return () =>
        {
            foreach (Action step in steps)
            {
                step();
            }
        };
    }

    /// <summary>Names and values of a component and its parts as they are now, at any time and without a stop.</summary>
    /// <param name="root">The component.</param>
    public static InspectionNode Inspect(IComponent root)
    {
        ArgumentNullException.ThrowIfNull(root);
        var node = new InspectionNode(root.Name);
        root.Inspect(node);
        foreach (IComponent part in root.Parts)
        {
            node.Add(Inspect(part));
        }

        return node;
    }

    private static void Collect(IComponent component, ComponentState? state, List<Action> steps)
    {
        try
        {
            if (state is null)
            {
                throw new StateException("name", component.Name, "null");
            }

            Require(state.Name == component.Name, "name", component.Name, state.Name);
            CollectOwn(component, state.State, steps);
            IReadOnlyList<IComponent> parts = component.Parts;
            int count = state.Parts?.Count ?? 0;
            Require(count == parts.Count, "parts", $"{parts.Count} parts", count.ToString(CultureInfo.InvariantCulture));
            for (int i = 0; i < parts.Count; i++)
            {
                Collect(parts[i], state.Parts![i], steps);
            }
        }
        catch (StateException e)
        {
            throw e.Inside(component.Name);
        }
    }

    private static void CollectOwn(IComponent component, SavedState? state, List<Action> steps)
    {
        if (state is not null)
        {
            steps.Add(component.PrepareRestore(state));
            return;
        }

        // One that has a state now had one when it was saved.
        if (component.Save() is { } own)
        {
            throw new StateException("state", own.Kind, "none");
        }
    }

    private static void Require(bool holds, string path, string expected, string found)
    {
        if (!holds)
        {
            throw new StateException(path, expected, found);
        }
    }
}
