using System;

namespace Vmm.Conformance;

/// <summary>Ends a check: it cannot say anything about this device.</summary>
internal sealed class CheckSkippedException(string reason) : Exception(reason);
