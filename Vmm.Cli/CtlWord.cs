using System;
using System.Linq;
using System.Net.Http;
using Vmm.Machine.Catalogue;

namespace Vmm.Cli;

/// <summary>A word of <c>vmm ctl</c>.</summary>
/// <param name="Method">HTTP's.</param>
/// <param name="Endpoint">The path, below the API's or from the root.</param>
/// <param name="Form">The words behind it, for help; in square brackets those that may be left out.</param>
internal sealed record CtlWord(HttpMethod Method, string Endpoint, string Form = "")
{
    /// <summary>The path of a request.</summary>
    public Func<string[], string> Path { get; init; } = _ => Endpoint;

    /// <summary>The body of a request; null for none.</summary>
    public Func<string[], byte[]>? Body { get; init; }

    /// <summary>Counts what comes behind the word.</summary>
    /// <param name="word">The word.</param>
    /// <param name="count">So many.</param>
    /// <exception cref="UsageException">Too many, or too few.</exception>
    public void Check(string word, int count)
    {
        string[] wanted = Form.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (count > wanted.Length || count < wanted.Count(static one => one[0] != '['))
        {
            throw new UsageException("ctl", word, Form.Length == 0 ? "takes nothing more" : $"takes {Form}");
        }
    }
}
