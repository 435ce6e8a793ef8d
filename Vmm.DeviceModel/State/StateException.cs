using System;

namespace Vmm.DeviceModel.State;

/// <summary>A saved state is refused: it was made by something else, by a later version, or has a value that cannot be. Nothing has changed.</summary>
public sealed class StateException : Exception
{
    /// <summary>Makes a refusal.</summary>
    /// <param name="path">Where in the state.</param>
    /// <param name="expected">The values that may be there.</param>
    /// <param name="found">The value that is there.</param>
    /// <param name="cause">The exception that found it, or null.</param>
    public StateException(string path, string expected, string found, Exception? cause = null)
        : base(Line(path, expected, found), cause)
    {
        (Path, Expected, Found) = (path, expected, found);
    }

    /// <summary>Where in the state: names of components separated by slashes, then the member.</summary>
    public string Path { get; }

    /// <summary>The values that may be there.</summary>
    public string Expected { get; }

    /// <summary>The value that is there.</summary>
    public string Found { get; }

    /// <summary>The same refusal, seen from the component around.</summary>
    /// <param name="component">Name of the component that the path starts in.</param>
    public StateException Inside(string component) => new($"{component}/{Path}", Expected, Found, InnerException);

    // One line, whatever a state of somebody else's making has in it, and not an endless one.
    private static string Line(string path, string expected, string found)
    {
        const int Longest = 200;
        found = found.ReplaceLineEndings(" ");
        found = found.Length > Longest ? found[..Longest] + "..." : found;
        return $"the saved state is refused at {path.ReplaceLineEndings(" ")}: expected {expected}, found {found}";
    }
}
