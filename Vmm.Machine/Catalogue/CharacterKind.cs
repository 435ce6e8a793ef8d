using System.Text.Json.Serialization;

namespace Vmm.Machine.Catalogue;

/// <summary>What a serial port or a console is connected to.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<CharacterKind>))]
public enum CharacterKind
{
    /// <summary>The device is absent.</summary>
    [JsonStringEnumMemberName("off")]
    Off,

    /// <summary>The device is there; its output vanishes.</summary>
    [JsonStringEnumMemberName("null")]
    Null,

    /// <summary>Standard input and output of the process.</summary>
    [JsonStringEnumMemberName("tty")]
    Terminal,

    /// <summary>Output goes to a file.</summary>
    [JsonStringEnumMemberName("file")]
    File,

    /// <summary>Output goes to a stream of the embedder's: <see cref="CharacterOptions.Output"/>.</summary>
    [JsonStringEnumMemberName("stream")]
    Stream,

    /// <summary>
    /// A pseudo-terminal in raw mode: <see cref="CharacterOptions.Terminal"/>, or one that the machine makes
    /// (<see cref="VirtualMachine.SerialPath"/>, <see cref="VirtualMachine.ConsolePath"/>). Output that nobody reads is dropped once it is full.
    /// </summary>
    [JsonStringEnumMemberName("pty")]
    Pty,
}
