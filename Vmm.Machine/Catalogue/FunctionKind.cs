using System.Collections.Generic;
using System.Text.Json.Serialization.Metadata;
using Vmm.Pci;

namespace Vmm.Machine.Catalogue;

/// <summary>The kind of <see cref="FunctionOptions"/>: known to every catalogue and listed in none.</summary>
internal sealed class FunctionKind : DeviceKind<FunctionOptions>
{
    public static FunctionKind Instance { get; } = new();

    public override string Name => "function";

    public override string Form => "";

    public override string Description => "A PCI function of the embedder's own";

    public override IReadOnlyList<string> Examples => [];

    public override IJsonTypeInfoResolver? Json => null;

    public override FunctionOptions? Parse(string text) => throw new UsageException(Option, text, "a function of an embedder's own is made by code");

    protected override PciFunction Create(FunctionOptions options, DeviceContext context) => options.Create(context);
}
