using System;
using System.Buffers.Binary;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;

namespace Vmm.Pci.Diagnostics;

/// <summary>Writes configuration space as text that <c>lspci -F</c> reads: an address, then lines of 16 bytes (PCI-15).</summary>
/// <remarks>
/// The registers are those of <see cref="PciFunction.CopyConfiguration"/>, so a dump of a running machine changes nothing.
/// </remarks>
public static class PciConfigurationDump
{
    /// <summary>Writes every function behind a host bridge, in bus order.</summary>
    /// <param name="bridge">The host bridge.</param>
    /// <param name="writer">Takes the text; lines end with a line feed.</param>
    public static void Write(PciHostBridge bridge, TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(bridge);
        ArgumentNullException.ThrowIfNull(writer);
        foreach (PciFunction? function in bridge.Root.CollectBelow().OrderBy(static function => function.Address))
        {
            Write(function, writer);
        }
    }

    /// <summary>Writes one function.</summary>
    /// <param name="function">A function; one on no bus is called 00:00.0.</param>
    /// <param name="writer">Takes the text; lines end with a line feed.</param>
    public static void Write(PciFunction function, TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(function);
        ArgumentNullException.ThrowIfNull(writer);
        byte[] bytes = new byte[function.ConfigurationSpace.Length];
        function.CopyConfiguration(bytes);

        // lspci takes what follows the address for a description and prints its own.
        writer.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"{function.Address} {function.Name}: "
            + $"{BinaryPrimitives.ReadUInt16LittleEndian(bytes):x4}:{BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(2)):x4}\n"));
        int width = bytes.Length > PciConfigurationSpace.ConventionalLength ? 3 : 2;
        for (int offset = 0; offset < bytes.Length; offset += 16)
        {
            writer.Write(offset.ToString(width == 3 ? "x3" : "x2", CultureInfo.InvariantCulture));
            writer.Write(':');
            for (int i = 0; i < 16; i++)
            {
                writer.Write(' ');
                writer.Write(bytes[offset + i].ToString("x2", CultureInfo.InvariantCulture));
            }

            writer.Write('\n');
        }

        writer.Write('\n');
    }
}
