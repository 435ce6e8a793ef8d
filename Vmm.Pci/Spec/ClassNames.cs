using System.Globalization;

namespace Vmm.Pci.Spec;

/// <summary>Names of class codes (PCI Code and ID Assignment, 1).</summary>
internal static class ClassNames
{
    /// <summary>The name of a class code.</summary>
    /// <param name="classCode">Base class, subclass and programming interface: 24 bits.</param>
    public static string Of(uint classCode)
    {
        return (classCode >> 8) switch
        {
            0x0180 => "mass storage controller",
            0x0200 => "Ethernet controller",
            0x0600 => "host bridge",
            0x0604 => "PCI bridge",
            0x0780 => "communication controller",
            0x00ff => "unclassified device",
            uint other => string.Create(CultureInfo.InvariantCulture, $"class {other:x4}"),
        };
    }
}
