using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Vmm.Machine.Devices;
using Vmm.Machine.Host;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Catalogue;

/// <summary>The virtio console: <c>--console</c>.</summary>
public sealed class ConsoleKind : VirtioKind<ConsoleOptions>
{
    /// <inheritdoc/>
    public override string Name => "console";

    /// <inheritdoc/>
    public override string Form => "off|tty|pty|file=FILE,...";

    /// <inheritdoc/>
    public override string Description => "Virtio console (off); pty makes a pseudo-terminal; tty needs --serial off, null, pty or file=FILE";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Examples => ["tty", "pty", "file=console.log,id=log"];

    /// <inheritdoc/>
    public override bool IsRepeatable => false;

    /// <inheritdoc/>
    public override KindModel? Model { get; } = new("console", "tty");

    /// <inheritdoc/>
    public override IJsonTypeInfoResolver Json => ConsoleJson.Default;

    /// <inheritdoc/>
    public override ConsoleOptions? Parse(string text)
    {
        if (text == "off")
        {
            return null;
        }

        var words = OptionValue.ParseNamed(Option, text, out string? name, ["file", .. VirtioWords.Known]);
        return new ConsoleOptions(CharacterWords.Read(words, name) ?? throw new UsageException(Option, text, "want off, tty, pty or file=FILE"))
        {
            Id = words.Get("id"),
            QueueSize = VirtioWords.ReadQueueSize(words),
            Transport = VirtioWords.Read(words),
        };
    }

    /// <inheritdoc/>
    protected override string? SubjectOf(ConsoleOptions options) => options.Character.Kind == CharacterKind.Pty ? "pty" : options.Character.Path;

    /// <inheritdoc/>
    protected override string? Describe(ConsoleOptions options) => options.Character.Kind switch
    {
        CharacterKind.Terminal => "the terminal",
        CharacterKind.Stream => "a stream",
        CharacterKind.Pty => "a pseudo-terminal",
        _ => options.Character.Path,
    };

    /// <inheritdoc/>
    protected override bool UsesTerminal(ConsoleOptions options) => options.Character.Kind == CharacterKind.Terminal;

    /// <inheritdoc/>
    protected override VirtioDevice CreateDevice(ConsoleOptions options, DeviceContext context)
    {
        CharacterOptions end = options.Character;
        IConsoleBackend backend = end.Kind switch
        {
            CharacterKind.Terminal => ConsoleBackend.OpenTerminal(context.Escape),
            CharacterKind.File => ConsoleBackend.OpenFile(end.Path!, context.AppendOutput),
            CharacterKind.Stream => new StreamConsoleBackend(end.CheckedOutput),
            CharacterKind.Pty => OpenTerminal(end.Terminal, context),
            _ => throw new ArgumentException($"{context.Id}: a console is on a terminal, a file or a stream, not {end.Kind}", nameof(options)),
        };
        return new ConsoleDevice(backend, SettingsOf(options, context));
    }

    /// <summary>On a terminal in memory that types what it is shown, and has a size.</summary>
    protected override VirtioDevice CreateModelDevice(ConsoleOptions options, DeviceContext context) =>
        new ConsoleDevice(new EchoConsoleBackend(), SettingsOf(options, context) with { Columns = 80, Rows = 25 });

    private static TerminalConsoleBackend OpenTerminal(PseudoTerminal? given, DeviceContext context)
    {
        var backend = new TerminalConsoleBackend(given ?? PseudoTerminal.Open(), owned: given is null);
        context.CreateLogger("Vmm.Machine").TerminalOpened(context.Id, backend.Path);
        return backend;
    }

    private static ConsoleDeviceOptions SettingsOf(ConsoleOptions options, DeviceContext context)
    {
        var defaults = new ConsoleDeviceOptions();
        return defaults with
        {
            Id = context.Id,
            QueueSize = options.QueueSize ?? defaults.QueueSize,
            Logger = context.CreateLogger(LogCategory),
        };
    }
}

/// <summary>The members of a console's options.</summary>
[JsonSerializable(typeof(ConsoleOptions))]
internal sealed partial class ConsoleJson : JsonSerializerContext;
