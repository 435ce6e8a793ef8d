using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Vmm.Machine.Catalogue;

/// <summary>
/// The words of one option's value: <c>key=value,key=value</c>, each known and given once. A value with a comma stands in double quotes, or is a list
/// in brackets.
/// </summary>
public sealed class OptionValue
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    private OptionValue(string option) => Option = option;

    /// <summary>The option, for messages.</summary>
    public string Option { get; }

    /// <summary>Takes a value apart.</summary>
    /// <param name="option">The option, with its dashes.</param>
    /// <param name="text">Its value.</param>
    /// <param name="known">The words it may have.</param>
    /// <exception cref="UsageException">A word is unknown, given twice, or has no value.</exception>
    public static OptionValue Parse(string option, string text, params ReadOnlySpan<string> known)
    {
        return Parse(option, Split(option, text), known);
    }

    /// <summary>Takes a value apart whose first word may be a bare name: <c>tty,vectors=1</c>.</summary>
    /// <param name="option">The option, with its dashes.</param>
    /// <param name="text">Its value.</param>
    /// <param name="name">The bare name, or null if the first word is <c>key=value</c> like the others.</param>
    /// <param name="known">The words it may have.</param>
    /// <exception cref="UsageException">A word is unknown, given twice, or has no value.</exception>
    public static OptionValue ParseNamed(string option, string text, out string? name, params ReadOnlySpan<string> known)
    {
        List<string> pieces = Split(option, text);
        name = pieces[0].Contains('=', StringComparison.Ordinal) ? null : pieces[0];
        return Parse(option, name is null ? pieces : pieces[1..], known);
    }

    /// <summary>The value of a word, or null.</summary>
    /// <param name="key">The word.</param>
    public string? Get(string key) => _values.GetValueOrDefault(key);

    /// <summary>The value of a word that has to be there.</summary>
    /// <param name="key">The word.</param>
    /// <exception cref="UsageException">It is not.</exception>
    public string Require(string key) => Get(key) ?? throw new UsageException(Option, null, $"needs the word {key}=...");

    /// <summary>The value of an on/off word.</summary>
    /// <param name="key">The word.</param>
    /// <param name="absent">The value without it.</param>
    /// <exception cref="UsageException">It is neither.</exception>
    public bool GetSwitch(string key, bool absent = false)
    {
        return Get(key) switch
        {
            null => absent,
            "off" => false,
            "on" => true,
            _ => throw Bad(key, "neither on nor off"),
        };
    }

    /// <summary>The value of a word that is a number, or null.</summary>
    /// <param name="key">The word.</param>
    /// <param name="minimum">The least that it may be.</param>
    /// <param name="maximum">The most.</param>
    /// <exception cref="UsageException">It is no number, or out of this range.</exception>
    public int? GetNumber(string key, int minimum, int maximum)
    {
        return Get(key) is { } text ? Number(key, text, minimum, maximum) : null;
    }

    /// <summary>The value of a word that is a number or a list of them, <c>3</c> or <c>[3,4]</c>, or null.</summary>
    /// <param name="key">The word.</param>
    /// <param name="minimum">The least that each may be.</param>
    /// <param name="maximum">The most.</param>
    /// <exception cref="UsageException">One is no number, or out of this range.</exception>
    public IReadOnlyList<int>? GetNumbers(string key, int minimum, int maximum)
    {
        if (Get(key) is not { } text)
        {
            return null;
        }

        string[] pieces = text is ['[', .., ']'] ? text[1..^1].Split(',') : [text];
        return [.. pieces.Select(piece => Number(key, piece, minimum, maximum))];
    }

    /// <summary>The value of a word that is a number of bytes with K, M, G or T for powers of 1024, or null.</summary>
    /// <param name="key">The word.</param>
    /// <exception cref="UsageException">It is no such number.</exception>
    public ulong? GetSize(string key)
    {
        string? text = Get(key);
        if (text is null)
        {
            return null;
        }

        int shift = char.ToUpperInvariant(text[^1]) switch
        {
            'K' => 10,
            'M' => 20,
            'G' => 30,
            'T' => 40,
            _ => 0,
        };
        string digits = shift == 0 ? text : text[..^1];
        if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value))
        {
            throw Bad(key, "not a size: a number of bytes, with K, M, G or T for a unit");
        }

        return value > ulong.MaxValue >> shift ? throw Bad(key, "more than 2^64 bytes") : value << shift;
    }

    /// <summary>A complaint about the value of a word.</summary>
    /// <param name="key">The word.</param>
    /// <param name="reason">The fault in it, in words.</param>
    public UsageException Bad(string key, string reason) => new(Option, $"{key}={Get(key)}", reason);

    private int Number(string key, string text, int minimum, int maximum)
    {
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value))
        {
            throw Bad(key, text.Length != 0 && text.All(char.IsAsciiDigit) ? $"not from {minimum} to {maximum}" : "not a number");
        }

        return value < minimum || value > maximum ? throw Bad(key, $"not from {minimum} to {maximum}") : (int)value;
    }

    private static OptionValue Parse(string option, List<string> pieces, ReadOnlySpan<string> known)
    {
        var words = new OptionValue(option);
        foreach (string piece in pieces)
        {
            int equals = piece.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? piece : piece[..equals];
            if (!known.Contains(key))
            {
                throw new UsageException(option, piece, $"unknown word '{key}'; known are {string.Join(", ", known.ToArray())}");
            }

            if (equals < 0 || equals == piece.Length - 1)
            {
                throw new UsageException(option, piece, $"'{key}' needs a value: {key}=...");
            }

            if (!words._values.TryAdd(key, Unquote(piece[(equals + 1)..])))
            {
                throw new UsageException(option, piece, $"'{key}' is given twice");
            }
        }

        return words;
    }

    private static string Unquote(string value)
    {
        return value is ['"', .., '"'] ? value[1..^1] : value;
    }

    private static List<string> Split(string option, string text)
    {
        var pieces = new List<string>();
        int start = 0;
        bool quoted = false;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '"')
            {
                quoted = !quoted;
            }
            else if (text[i] == '[' && !quoted && i > 0 && text[i - 1] == '=')
            {
                // A list, if it is one: to its end.
                i = Math.Max(i, text.IndexOf(']', i));
            }
            else if (text[i] == ',' && !quoted)
            {
                pieces.Add(text[start..i]);
                start = i + 1;
            }
        }

        if (quoted)
        {
            throw new UsageException(option, text, "a double quote is not closed");
        }

        pieces.Add(text[start..]);
        return pieces.Exists(p => p.Length == 0) ? throw new UsageException(option, text, "an empty word") : pieces;
    }
}
