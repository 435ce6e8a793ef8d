using System;

namespace Vmm.Pci.Host;

/// <summary>A window has no room for a BAR. Thrown at set-up, never out of a guest access.</summary>
public sealed class PciResourceException : Exception
{
    /// <summary>Says what did not fit.</summary>
    /// <param name="message">Function, BAR, size and windows.</param>
    public PciResourceException(string message)
        : base(message)
    {
    }
}
