using System.Linq;
using Vmm.Cli;
using Vmm.Machine.Catalogue;

namespace Vmm.Tests.Conformance;

/// <summary>Devices of the catalogue to check, by the words of <c>vmm conformance --model</c>.</summary>
internal static class Models
{
    public static ModelFunction Make(string words) => ModelFunction.Read("--model", words, DeviceCatalogue.Default).Single()();
}
