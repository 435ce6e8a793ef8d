using System;

namespace Vmm.Machine.Catalogue;

/// <summary>A word of a command line is wrong; the message is one line that names the option, the word and the reason.</summary>
public sealed class UsageException : Exception
{
    /// <summary>Names it.</summary>
    /// <param name="option">The option, with its dashes.</param>
    /// <param name="word">The word or value, or null if it is not about one.</param>
    /// <param name="reason">Why, in one line.</param>
    public UsageException(string option, string? word, string reason)
        : base(word is null ? $"{option}: {reason}" : $"{option} {word}: {reason}")
    {
        (Option, Word, Reason) = (option, word, reason);
    }

    /// <summary>The option, with its dashes.</summary>
    public string Option { get; }

    /// <summary>The word or value, or null if it is not about one.</summary>
    public string? Word { get; }

    /// <summary>Why, in one line.</summary>
    public string Reason { get; }
}
