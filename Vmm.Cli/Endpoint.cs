using System;
using System.Globalization;
using Vmm.Machine.Catalogue;

namespace Vmm.Cli;

/// <summary>Where an API socket or an event monitor is: a path, or a descriptor that the process was given.</summary>
/// <param name="Path">The path, or null.</param>
/// <param name="Descriptor">The descriptor's number, or null.</param>
public sealed record Endpoint(string? Path, int? Descriptor)
{
    /// <summary>Reads the value of an option: <c>path=PATH</c>, <c>fd=N</c>, or a path alone.</summary>
    /// <param name="option">The option, with its dashes.</param>
    /// <param name="text">Its value.</param>
    /// <exception cref="UsageException">It is neither.</exception>
    public static Endpoint Parse(string option, string text)
    {
        if (text.StartsWith("fd=", StringComparison.Ordinal))
        {
            return int.TryParse(text[3..], NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor)
                ? new Endpoint(null, descriptor)
                : throw new UsageException(option, text, "not the number of a descriptor");
        }

        string path = text.StartsWith("path=", StringComparison.Ordinal) ? text[5..] : text;
        return path.Length == 0 ? throw new UsageException(option, text, "an empty path") : new Endpoint(path, null);
    }
}
