using System;

namespace Vmm.Conformance;

/// <summary>Ends a check whose time is over, at its next access.</summary>
internal sealed class CheckAbandonedException() : Exception("the check took too long and was abandoned");
