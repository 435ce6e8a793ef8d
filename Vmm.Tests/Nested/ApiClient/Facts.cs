using System;
using System.Globalization;
using System.Text.Json;
using Vmm.Tests.Api;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>The facts that a run prints, and its checks.</summary>
internal static class Facts
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static void Say(string key, string value) => Console.Out.WriteLine($"{key} {value}");

    public static void Say(string key, int value) => Say(key, value.ToString(CultureInfo.InvariantCulture));

    /// <summary>Ends the run if an answer does not have the status that is wanted.</summary>
    public static RawAnswer Want(this RawAnswer answer, int status, string request)
    {
        return answer.Status == status
            ? answer
            : throw new InvalidOperationException($"{request}: {status} is wanted, and the answer is {answer.Status} {answer.Body}");
    }

    /// <summary>Ends the run if something is not as it has to be.</summary>
    public static void Check(bool holds, string sentence)
    {
        if (!holds)
        {
            throw new InvalidOperationException(sentence);
        }
    }

    /// <summary>A text without its line ends.</summary>
    public static string OneLine(string text) => text.Replace("\n", "", StringComparison.Ordinal);

    /// <summary>The body as JSON.</summary>
    public static JsonElement Json(this RawAnswer answer) => JsonDocument.Parse(answer.Body).RootElement;

    /// <summary>A text in an answer, by the names on the way to it.</summary>
    public static string Text(this JsonElement element, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            element = element.GetProperty(name);
        }

        return element.ToString();
    }
}
