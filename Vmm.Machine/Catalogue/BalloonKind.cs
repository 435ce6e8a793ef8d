using System.Collections.Generic;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Catalogue;

/// <summary>The virtio memory balloon: <c>--balloon</c>.</summary>
public sealed class BalloonKind : VirtioKind<BalloonOptions>
{
    /// <inheritdoc/>
    public override string Name => "balloon";

    /// <inheritdoc/>
    public override string Form => "size=BYTES,...";

    /// <inheritdoc/>
    public override string Description => "Virtio memory balloon, of size bytes from the start; deflate_on_oom=on, free_page_reporting=on";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Examples => ["size=0,free_page_reporting=on", "size=256M,deflate_on_oom=on,id=balloon0"];

    /// <inheritdoc/>
    public override bool IsRepeatable => false;

    /// <summary>It is asked to take back page 0, which nobody gave: that is allowed, and does nothing (virtio 1.2, 5.5.6).</summary>
    public override KindModel? Model { get; } = new("balloon", "size=0", new ModelRequest(Queue: 1, Bytes: new byte[4]));

    /// <inheritdoc/>
    public override IJsonTypeInfoResolver Json => BalloonJson.Default;

    /// <inheritdoc/>
    public override BalloonOptions? Parse(string text)
    {
        var words = OptionValue.Parse(Option, text, ["size", "deflate_on_oom", "free_page_reporting", .. VirtioWords.Known]);
        words.Require("size");
        ulong size = words.GetSize("size")!.Value;
        if (size % BalloonDevice.PageSize != 0 || size / BalloonDevice.PageSize > uint.MaxValue)
        {
            throw words.Bad("size", $"not whole pages of {BalloonDevice.PageSize} bytes, fewer than 2^32");
        }

        return new BalloonOptions(size, words.GetSwitch("deflate_on_oom"), words.GetSwitch("free_page_reporting"))
        {
            Id = words.Get("id"),
            QueueSize = VirtioWords.ReadQueueSize(words),
            Transport = VirtioWords.Read(words),
        };
    }

    /// <inheritdoc/>
    protected override VirtioDevice CreateDevice(BalloonOptions options, DeviceContext context)
    {
        var defaults = new BalloonDeviceOptions();
        return new BalloonDevice(
            defaults with
            {
                Id = context.Id,
                Size = options.Size,
                DeflateOnOutOfMemory = options.DeflateOnOom,
                FreePageReporting = options.FreePageReporting,
                QueueSize = options.QueueSize ?? defaults.QueueSize,
                Logger = context.CreateLogger(LogCategory),
            },
            context.Memory);
    }
}

/// <summary>The members of a balloon's options.</summary>
[JsonSerializable(typeof(BalloonOptions))]
internal sealed partial class BalloonJson : JsonSerializerContext;
