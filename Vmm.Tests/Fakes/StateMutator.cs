using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Vmm.Tests.Fakes;

/// <summary>Tampers with saved states: another value, a line that is lost, doubled or cut, parts that are missing, doubled or reordered.</summary>
internal static partial class StateMutator
{
    /// <summary>A state with one change.</summary>
    public static string Mutate(string json, Random random) => random.Next(8) switch
    {
        < 5 => MutateValue(json, random),
        5 or 6 => MutateParts(json, random),
        _ => MutateLine(json, random),
    };

    private static string MutateValue(string json, Random random)
    {
        MatchCollection values = Values().Matches(json);
        Match found = values[random.Next(values.Count)];
        string value = random.Next(8) switch
        {
            0 => "0",
            1 => "1",
            2 => ulong.TryParse(found.Value, CultureInfo.InvariantCulture, out ulong number)
                ? (number ^ (1UL << random.Next(32))).ToString(CultureInfo.InvariantCulture)
                : "false",
            3 => "-1",
            4 => random.NextInt64().ToString(CultureInfo.InvariantCulture),
            5 => "true",
            6 => random.Next(65536).ToString(CultureInfo.InvariantCulture),
            _ => "\"x\"",
        };
        return json[..found.Index] + value + json[(found.Index + found.Length)..];
    }

    private static string MutateLine(string json, Random random)
    {
        string[] lines = json.Split('\n');
        int at = random.Next(lines.Length);
        lines[at] = random.Next(3) switch { 0 => "", 1 => lines[at] + lines[at], _ => lines[at][..random.Next(lines[at].Length + 1)] };
        return string.Join('\n', lines);
    }

    private static string MutateParts(string json, Random random)
    {
        JsonNode root = JsonNode.Parse(json)!;
        JsonArray[] lists = [.. Nodes(root).OfType<JsonArray>().Where(static list => list.Count != 0)];
        JsonArray list = lists[random.Next(lists.Length)];
        int at = random.Next(list.Count);
        JsonNode? taken = list[at]?.DeepClone();
        switch (random.Next(4))
        {
            case 0:
                list.RemoveAt(at);
                break;
            case 1:
                list.Insert(random.Next(list.Count + 1), taken);
                break;
            case 2:
                list.RemoveAt(at);
                list.Insert(random.Next(list.Count + 1), taken);
                break;
            default:
                JsonObject[] objects = [.. Nodes(root).OfType<JsonObject>().Where(static one => one.Count != 0)];
                JsonObject one = objects[random.Next(objects.Length)];
                one.Remove(one.ElementAt(random.Next(one.Count)).Key);
                break;
        }

        return root.ToJsonString();
    }

    private static IEnumerable<JsonNode> Nodes(JsonNode? node)
    {
        if (node is null)
        {
            return [];
        }

        return node switch
        {
            JsonArray list => list.SelectMany(Nodes).Prepend(list),
            JsonObject one => one.SelectMany(static pair => Nodes(pair.Value)).Prepend(one),
            _ => [],
        };
    }

    [GeneratedRegex(@"(?<=: )(\d+|true|false)")]
    private static partial Regex Values();
}
