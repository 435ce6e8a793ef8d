using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;

namespace Vmm.Tests.Architecture;

/// <summary>The folders of an assembly, which are its namespaces, and which of them know which others.</summary>
internal sealed class FolderGraph
{
    private readonly Dictionary<string, Dictionary<string, string>> _edges = [];

    private FolderGraph(IEnumerable<(string From, string Member, string To)> references, string root)
    {
        foreach ((string from, string member, string to) in references)
        {
            if (FolderOf(from, root) is { } source && FolderOf(to, root) is { } target && source != target)
            {
                _edges.TryAdd(source, []);
                _edges[source].TryAdd(target, $"{from}.{member} refers to {to}");
            }
        }
    }

    /// <summary>Reads the graph of an assembly.</summary>
    public static FolderGraph Of(Assembly assembly) => new(TypeReferences.Read(assembly.Location), assembly.GetName().Name!);

    /// <summary>Makes a graph of references between types whose names start with a root.</summary>
    public static FolderGraph Of(string root, params (string From, string Member, string To)[] references) => new(references, root);

    /// <summary>Folders that a folder knows.</summary>
    public IEnumerable<string> Known(string folder) => _edges.TryGetValue(folder, out Dictionary<string, string>? known) ? known.Keys : [];

    /// <summary>The sets of folders that know each other, directly or by others; each set sorted.</summary>
    public List<string[]> Cycles()
    {
        var reached = _edges.Keys.ToDictionary(static folder => folder, Reach);
        return [.. _edges.Keys
            .Select(folder => reached[folder].Where(other => reached.TryGetValue(other, out HashSet<string>? back) && back.Contains(folder))
                .Order().ToArray())
            .Where(static cycle => cycle.Length > 0)
            .DistinctBy(static cycle => string.Join(' ', cycle))];
    }

    /// <summary>A shortest way around in a set of folders that know each other, one line a step, each with one reference that makes it.</summary>
    public string Describe(IReadOnlyList<string> cycle)
    {
        List<string> way = cycle.Select(Around).MinBy(static way => way.Count)!;
        return string.Join('\n', way.Zip(way.Skip(1)).Select(step => $"{Name(step.First)} -> {Name(step.Second)}: {_edges[step.First][step.Second]}"));
    }

    private static string Name(string folder) => folder.Length == 0 ? "(root)" : folder;

    private static string? FolderOf(string type, string root)
    {
        string space = type[..type.LastIndexOf('.')];
        return space == root ? string.Empty : space.StartsWith(root + '.', StringComparison.Ordinal) ? space[(root.Length + 1)..] : null;
    }

    private HashSet<string> Reach(string from)
    {
        var reached = new HashSet<string>();
        var waiting = new Queue<string>(Known(from));
        while (waiting.TryDequeue(out string? next))
        {
            if (reached.Add(next))
            {
                foreach (string known in Known(next))
                {
                    waiting.Enqueue(known);
                }
            }
        }

        return reached;
    }

    private List<string> Around(string start)
    {
        var before = new Dictionary<string, string>();
        var waiting = new Queue<string>([start]);
        while (waiting.TryDequeue(out string? at))
        {
            foreach (string next in Known(at).Where(next => !before.ContainsKey(next)))
            {
                before.Add(next, at);
                waiting.Enqueue(next);
            }
        }

        var way = new List<string> { start };
        do
        {
            way.Insert(0, before[way[0]]);
        }
        while (way[0] != start);
        return way;
    }
}
