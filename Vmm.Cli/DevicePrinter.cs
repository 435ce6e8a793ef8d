using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.State;

namespace Vmm.Cli;

/// <summary>Draws what an inspection found as a tree: a line a component with the name that it was given, below it values and parts.</summary>
internal static class DevicePrinter
{
    private const int LineLength = 100;

    /// <summary>Draws it.</summary>
    public static void Print(InspectionNode node, TextWriter output) => Write(node, "", "", output);

    private static void Write(InspectionNode node, string head, string indent, TextWriter output)
    {
        string? name = node.TextOf("name");
        string title = name is null ? node.Name : $"{node.Name} {name}";
        List<string> lines = Pack(node.Values.Where(static value => value.Name != "name"));
        if (node.Parts.Count == 0 && lines.Count == 1)
        {
            output.Write($"{head}{title}: {lines[0]}\n");
            return;
        }

        output.Write($"{head}{title}\n");
        int left = lines.Count + node.Parts.Count;
        foreach (string line in lines)
        {
            output.Write($"{indent}{(--left == 0 ? "└─" : "├─")} {line}\n");
        }

        foreach (InspectionNode part in node.Parts)
        {
            bool last = --left == 0;
            Write(part, indent + (last ? "└─ " : "├─ "), indent + (last ? "   " : "│  "), output);
        }
    }

    /// <summary>As many values in a line as it has room for; a longer one has its own.</summary>
    private static List<string> Pack(IEnumerable<InspectionValue> values)
    {
        List<string> lines = [];
        foreach (string text in values.Select(static value => $"{value.Name} {value.Text}"))
        {
            if (lines.Count != 0 && lines[^1].Length + text.Length + 2 <= LineLength)
            {
                lines[^1] += "; " + text;
            }
            else
            {
                lines.Add(text);
            }
        }

        return lines;
    }
}
