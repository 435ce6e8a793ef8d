using System;
using System.IO;
using System.Text.Json.Serialization;
using Vmm.Machine.Host;

namespace Vmm.Machine.Catalogue;

/// <summary>What a serial port or a console is connected to.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Path">The file for <see cref="CharacterKind.File"/>; see <see cref="MachineOptions.AppendOutput"/>.</param>
public sealed record CharacterOptions(CharacterKind Kind, string? Path = null)
{
    /// <summary>
    /// The stream for <see cref="CharacterKind.Stream"/>. It stays the embedder's, who closes it after the machine. It is written to, and flushed, on a
    /// thread of the device; a write that never returns keeps the machine from being disposed. It has no JSON form.
    /// </summary>
    [JsonConverter(typeof(NoJsonConverter<Stream>))]
    public Stream? Output { get; init; }

    /// <summary>
    /// The terminal for <see cref="CharacterKind.Pty"/>, of one device at a time; it stays the embedder's, who closes it after the machine. Without
    /// it the machine makes one, and closes it with itself. It has no JSON form.
    /// </summary>
    [JsonConverter(typeof(NoJsonConverter<PseudoTerminal>))]
    public PseudoTerminal? Terminal { get; init; }

    internal Stream CheckedOutput => Output ?? throw new ArgumentException("a device on a stream needs one in CharacterOptions.Output");

    /// <summary>Output that goes to a stream.</summary>
    /// <param name="output">The stream.</param>
    public static CharacterOptions To(Stream output)
    {
        ArgumentNullException.ThrowIfNull(output);
        return new CharacterOptions(CharacterKind.Stream) { Output = output };
    }
}
