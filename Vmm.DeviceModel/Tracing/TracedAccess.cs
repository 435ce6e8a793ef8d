using System;
using System.Globalization;
using System.Text;
using Vmm.DeviceModel.Bus;

namespace Vmm.DeviceModel.Tracing;

/// <summary>An access as it is kept until it is written.</summary>
internal struct TracedAccess
{
    public long Time;
    public int Vcpu;
    public string Device;
    public string Claim;
    public IRegionNames? Names;
    public ulong Offset;
    public ulong Value;
    public int Selected;
    public bool IsWrite;
    public bool Failed;

    /// <summary>Appends the line, for example <c>0.003512 vcpu0 disk0 common_cfg.queue_enable[0] &lt;- 1</c>.</summary>
    /// <param name="text">Where to.</param>
    /// <param name="microseconds">Time since the trace began.</param>
    public readonly void Append(StringBuilder text, long microseconds)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        text.Append(culture, $"{microseconds / 1_000_000}.{microseconds % 1_000_000:d6} ");
        if (Vcpu >= 0)
        {
            text.Append(culture, $"vcpu{Vcpu} ");
        }
        else
        {
            text.Append("host ");
        }

        text.Append(Device).Append(' ').Append(Register()).Append(IsWrite ? " <- " : " -> ");
        if (Failed)
        {
            text.Append("fault");
        }
        else if (Value < 10)
        {
            text.Append((char)('0' + Value));
        }
        else
        {
            text.Append(culture, $"0x{Value:x}");
        }

        text.Append('\n');
    }

    private readonly string Register()
    {
        try
        {
            if (Names is not null)
            {
                return Names.Describe(Offset, Selected);
            }
        }
        catch (Exception)
        {
            // A device that does not know its own registers costs the trace their names and no more.
        }

        // The last word of a claim's name is the region's; what comes before says where it is.
        return string.Create(CultureInfo.InvariantCulture, $"{Claim.AsSpan(Claim.LastIndexOf(' ') + 1)}+0x{Offset:x}");
    }
}
