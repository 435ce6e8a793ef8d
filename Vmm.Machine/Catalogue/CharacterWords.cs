namespace Vmm.Machine.Catalogue;

/// <summary>The words for what a serial port or a console is connected to.</summary>
public static class CharacterWords
{
    /// <summary>Reads the value of <c>--serial</c>.</summary>
    /// <param name="option">The option, with its dashes.</param>
    /// <param name="text">Its value.</param>
    /// <exception cref="UsageException">The value is wrong.</exception>
    public static CharacterOptions ReadSerial(string option, string text)
    {
        var words = OptionValue.ParseNamed(option, text, out string? name, "file");
        return (name, words.Get("file")) switch
        {
            ("off", null) => new CharacterOptions(CharacterKind.Off),
            ("null", null) => new CharacterOptions(CharacterKind.Null),
            _ => Read(words, name) ?? throw new UsageException(option, text, "want off, tty, pty, null or file=FILE"),
        };
    }

    /// <summary>Reads what every such device can be connected to.</summary>
    /// <param name="words">The device's words, <c>file</c> among them.</param>
    /// <param name="name">The bare word before them, or null.</param>
    /// <returns>The terminal, a pseudo-terminal or a file; null if the words say none of them.</returns>
    internal static CharacterOptions? Read(OptionValue words, string? name) => (name, words.Get("file")) switch
    {
        ("tty", null) => new CharacterOptions(CharacterKind.Terminal),
        ("pty", null) => new CharacterOptions(CharacterKind.Pty),
        (null, { } file) => new CharacterOptions(CharacterKind.File, file),
        _ => null,
    };
}
