using System.Collections.Generic;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Catalogue;

/// <summary>The virtio entropy device: <c>--rng</c>.</summary>
public sealed class EntropyKind : VirtioKind<EntropyOptions>
{
    /// <inheritdoc/>
    public override string Name => "rng";

    /// <inheritdoc/>
    public override string Form => "src=FILE,...|off";

    /// <inheritdoc/>
    public override string Description => "Virtio entropy device (src=/dev/urandom); off for none";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Examples => ["src=/dev/urandom", "src=/dev/hwrng,id=entropy,vectors=0"];

    /// <inheritdoc/>
    public override bool IsRepeatable => false;

    /// <inheritdoc/>
    public override DeviceOptions? Default => new EntropyOptions();

    /// <inheritdoc/>
    public override KindModel? Model { get; } = new("rng", "src=/dev/urandom");

    /// <inheritdoc/>
    public override IJsonTypeInfoResolver Json => EntropyJson.Default;

    /// <inheritdoc/>
    public override EntropyOptions? Parse(string text)
    {
        if (text == "off")
        {
            return null;
        }

        var words = OptionValue.Parse(Option, text, ["src", .. VirtioWords.Known]);
        return new EntropyOptions(words.Require("src"))
        {
            Id = words.Get("id"),
            QueueSize = VirtioWords.ReadQueueSize(words),
            Transport = VirtioWords.Read(words),
        };
    }

    /// <inheritdoc/>
    protected override string? SubjectOf(EntropyOptions options) => options.Source;

    /// <inheritdoc/>
    protected override VirtioDevice CreateDevice(EntropyOptions options, DeviceContext context)
    {
        var defaults = new EntropyDeviceOptions();
        return new EntropyDevice(defaults with
        {
            Id = context.Id,
            Source = options.Source,
            QueueSize = options.QueueSize ?? defaults.QueueSize,
            Logger = context.CreateLogger(LogCategory),
        });
    }
}

/// <summary>The members of an entropy device's options.</summary>
[JsonSerializable(typeof(EntropyOptions))]
internal sealed partial class EntropyJson : JsonSerializerContext;
