using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Vmm.DeviceModel.Registers;

/// <summary>Prints register tables for the documentation.</summary>
public static class RegisterTable
{
    /// <summary>A Markdown table with one row a line.</summary>
    /// <param name="registers">A <see cref="RegisterMap{TDevice}"/>.</param>
    public static string ToMarkdown(IEnumerable<RegisterInfo> registers)
    {
        ArgumentNullException.ThrowIfNull(registers);
        var text = new StringBuilder("| offset | bytes | access | register |\n|---|---|---|---|\n");
        foreach (RegisterInfo register in registers)
        {
            string array = register.Count == 1
                ? ""
                : string.Create(CultureInfo.InvariantCulture, $"[{register.Count}], every 0x{register.Stride:x}");
            text.Append(
                CultureInfo.InvariantCulture,
                $"| 0x{register.Offset:x2} | {register.Width} | {Short(register.Access)} | `{register.Name}`{array} |\n");
        }

        return text.ToString();
    }

    private static string Short(RegisterAccess access) => access switch
    {
        RegisterAccess.ReadOnly => "RO",
        RegisterAccess.ReadWrite => "RW",
        RegisterAccess.WriteOnly => "WO",
        _ => "read has side effects",
    };
}
