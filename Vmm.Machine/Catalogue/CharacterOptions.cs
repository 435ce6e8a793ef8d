using System;
using System.IO;
using System.Text.Json.Serialization;

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

    internal Stream CheckedOutput => Output ?? throw new ArgumentException("a device on a stream needs one in CharacterOptions.Output");

    /// <summary>Output that goes to a stream.</summary>
    /// <param name="output">The stream.</param>
    public static CharacterOptions To(Stream output)
    {
        ArgumentNullException.ThrowIfNull(output);
        return new CharacterOptions(CharacterKind.Stream) { Output = output };
    }
}
