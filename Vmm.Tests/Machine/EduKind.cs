using System.Collections.Generic;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Vmm.Machine.Catalogue;
using Vmm.Pci;

namespace Vmm.Tests.Machine;

/// <summary>A kind of device that an embedder has added, as they would write it: from public members alone.</summary>
public sealed class EduKind : DeviceKind<EduOptions>
{
    public override string Name => "edu";

    public override string Form => "version=N";

    public override string Description => "A card to learn on; version=N says which; may be repeated";

    public override IReadOnlyList<string> Examples => ["version=3", "version=4,id=lesson"];

    public override KindModel? Model { get; } = new("edu", "version=7");

    public override IJsonTypeInfoResolver Json => EduJson.Default;

    public override EduOptions? Parse(string text)
    {
        var words = OptionValue.Parse(Option, text, "version", "id");
        words.Require("version");
        return new EduOptions(words.GetNumber("version", 0, 255)!.Value) { Id = words.Get("id") };
    }

    protected override PciFunction Create(EduOptions options, DeviceContext context)
    {
        return new PciFunction(
            new PciIdentity { VendorId = 0x1234, DeviceId = 0x11e8, ClassCode = 0x00ff00, RevisionId = (byte)options.Version },
            new PciFunctionOptions { Name = context.Id, Dma = context.CreateDmaTarget() });
    }
}

/// <summary>An <see cref="EduKind"/>'s device.</summary>
/// <param name="Version">The version that the card gives itself.</param>
public sealed record EduOptions(int Version) : DeviceOptions;

[JsonSerializable(typeof(EduOptions))]
internal sealed partial class EduJson : JsonSerializerContext;
