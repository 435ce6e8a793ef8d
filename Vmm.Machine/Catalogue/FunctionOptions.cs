using System;
using Vmm.Pci;

namespace Vmm.Machine.Catalogue;

/// <summary>A PCI function of the embedder's own. There are no words for it on a command line and no JSON: it is made by code.</summary>
/// <param name="Create">
/// Makes the function, on no bus. The machine owns it and disposes it. Called once for each machine that is made from the options, on the thread
/// that makes the machine or adds the device; what it throws is thrown there.
/// </param>
public sealed record FunctionOptions(Func<DeviceContext, PciFunction> Create) : DeviceOptions;
