using System.Globalization;
using System.Text;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Control;

namespace Vmm.Api.Config;

/// <summary>
/// Turns an object of a request's body into the words of the command line, which say the same under nearly the same names: so each kind of device
/// reads, and checks, its options in one place.
/// </summary>
/// <param name="source">The object.</param>
internal sealed class DeviceWords(ConfigObject source)
{
    private readonly StringBuilder _text = new();

    /// <summary>Takes a text.</summary>
    public DeviceWords Text(string name, string? word = null)
    {
        if (source.TakeText(name) is { } text)
        {
            Append(word ?? name, Quote(name, text));
        }

        return this;
    }

    /// <summary>Takes a number.</summary>
    public DeviceWords Number(string name, string? word = null)
    {
        if (source.TakeNumber(name) is { } number)
        {
            Append(word ?? name, number.ToString(CultureInfo.InvariantCulture));
        }

        return this;
    }

    /// <summary>Takes a truth.</summary>
    public DeviceWords Switch(string name, string? word = null, bool absent = false)
    {
        if (source.TakeSwitch(name, absent) is var value && value != absent)
        {
            Append(word ?? name, value ? "on" : "off");
        }

        return this;
    }

    /// <summary>Takes the two buckets of a rate limiter.</summary>
    public DeviceWords RateLimits()
    {
        if (source.TakeObject("rate_limiter_config") is { } limits)
        {
            AppendBucket(limits, "bandwidth", "bw");
            AppendBucket(limits, "ops", "ops");
            limits.Finish();
        }

        return this;
    }

    /// <summary>Adds a word of ours.</summary>
    public DeviceWords Word(string word, string value)
    {
        Append(word, value);
        return this;
    }

    /// <summary>Refuses what is left of the object, and has a kind read the words.</summary>
    /// <param name="kind">The kind.</param>
    public DeviceOptions Read(DeviceKind kind)
    {
        source.Finish();
        return kind.Parse(_text.ToString()) ?? throw new ControlException(ControlError.BadRequest, $"{kind.Name}: this is no device");
    }

    private void AppendBucket(ConfigObject limits, string name, string prefix)
    {
        if (limits.TakeObject(name) is not { } bucket)
        {
            return;
        }

        foreach (string member in (string[])["size", "one_time_burst", "refill_time"])
        {
            if (bucket.TakeNumber(member) is { } number and not 0)
            {
                Append($"{prefix}_{member}", number.ToString(CultureInfo.InvariantCulture));
            }
        }

        bucket.Finish();
    }

    private string Quote(string name, string text)
    {
        return text.Length == 0 || text.Contains('"') ? throw source.Bad(name, "an empty text, or one with a double quote") : $"\"{text}\"";
    }

    private void Append(string word, string value)
    {
        if (_text.Length != 0)
        {
            _text.Append(',');
        }

        _text.Append(word).Append('=').Append(value);
    }
}
