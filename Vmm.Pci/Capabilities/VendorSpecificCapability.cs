using System;
using System.Globalization;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Capabilities;

/// <summary>A vendor-specific capability (id 9): header, length byte and a body that the vendor defines (PCI 3.0, 6.7 and appendix H).</summary>
public class VendorSpecificCapability : PciCapability
{
    /// <summary>Offset of the body: after id, next pointer and length.</summary>
    public const int BodyOffset = 3;

    /// <inheritdoc/>
    public override string Description => string.Create(CultureInfo.InvariantCulture, $"vendor-specific, {Length} bytes");

    /// <summary>Makes a capability from its body.</summary>
    /// <param name="body">The bytes after the length byte.</param>
    /// <param name="writable">Bits of the body that the guest writes; empty for none, else as long as <paramref name="body"/>.</param>
    /// <exception cref="ArgumentException">The mask's length differs, or the body is longer than 189 bytes.</exception>
    public VendorSpecificCapability(ReadOnlySpan<byte> body, ReadOnlySpan<byte> writable = default)
        : base(CapabilityIds.VendorSpecific, BodyOffset + body.Length)
    {
        if (!writable.IsEmpty && writable.Length != body.Length)
        {
            throw new ArgumentException("the mask must be as long as the body", nameof(writable));
        }

        Define(2, 1, (uint)Length);
        for (int i = 0; i < body.Length; i++)
        {
            Define(BodyOffset + i, 1, body[i], writable.IsEmpty ? 0u : writable[i]);
        }
    }
}
