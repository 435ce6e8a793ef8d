using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;

namespace Vmm.Tests.Fuzz;

/// <summary>A list of operations that went wrong: is made short, and kept in a file that can be run again.</summary>
/// <remarks>The file has a line that says what the operations are for, and then a line an operation; # begins a comment.</remarks>
internal sealed class FuzzReproduction<T>
    where T : notnull
{
    // What is longer than this is in the file only.
    private const int MostPrinted = 200;

    /// <summary>First line of the file: the word for what the operations are for, and all that it is made from.</summary>
    public required string Head { get; init; }

    /// <summary>Name of the file.</summary>
    public required string Name { get; init; }

    /// <summary>What runs the file.</summary>
    public required string Command { get; init; }

    /// <summary>Runs a list from the beginning, and says what went wrong or null.</summary>
    public required Func<IReadOnlyList<T>, string?> Run { get; init; }

    /// <summary>How long to look for a shorter list.</summary>
    public required TimeSpan Limit { get; init; }

    /// <summary>Reads what <see cref="Report"/> left.</summary>
    /// <returns>The words of the first line, and the operations.</returns>
    public static (string[] Head, T[] Operations) Read(string path, Func<string, T> parse)
    {
        string[] lines = [.. File.ReadAllLines(path).Select(static l => l.Trim()).Where(static l => l.Length != 0 && l[0] != '#')];
        return (lines[0].Split(' '), [.. lines.Skip(1).Select(parse)]);
    }

    /// <summary>Shortens the list and writes the file.</summary>
    /// <param name="failure">What went wrong, and where.</param>
    /// <param name="operations">What led to it.</param>
    /// <returns>The failure, the shortest list that fails too, and how to run it.</returns>
    public string Report(string failure, IReadOnlyList<T> operations)
    {
        string last = failure;
        (IReadOnlyList<T> shortest, bool reproduced) = FuzzShrinker.Shrink(
            operations,
            list =>
            {
                string? again = Run(list);
                last = again ?? last;
                return again is not null;
            },
            Limit);
        string path = Path.Combine(Path.GetTempPath(), Name);
        string file = $"{Head}\n{string.Concat(shortest.Select(static o => $"{o}\n"))}";
        File.WriteAllText(path, file);

        string subject = Head.Split(' ')[0];
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{failure}\n");
        if (reproduced)
        {
            text.Append(CultureInfo.InvariantCulture, $"these {shortest.Count} operations on a fresh {subject} fail too ({last.Split('\n')[0]}):\n");
            text.Append(shortest.Count <= MostPrinted ? file : "");
        }
        else
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"the operations did not fail again on a fresh {subject}: timing decides, or an earlier {subject} had a part in it\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"replay: {Command} {path}\n");
        return text.ToString();
    }
}
