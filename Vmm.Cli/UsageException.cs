using System;

namespace Vmm.Cli;

/// <summary>The command line is wrong; the message is one line that names the option, the word and the reason.</summary>
public sealed class UsageException : Exception
{
    /// <summary>Names what is wrong.</summary>
    public UsageException(string option, string? word, string reason)
        : base(word is null ? $"{option}: {reason}" : $"{option} {word}: {reason}")
    {
    }
}
