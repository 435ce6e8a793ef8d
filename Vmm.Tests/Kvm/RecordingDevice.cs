using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.Kvm;

/// <summary>A device that writes down what reaches it and answers reads from a pattern: byte i of its range reads as i + 1.</summary>
internal sealed class RecordingDevice : IRegionHandler
{
    private readonly List<string> _log = [];

    /// <summary>Accesses in order, for example <c>R4 10</c> and <c>W2 4=BEEF</c>.</summary>
    public IReadOnlyList<string> Log
    {
        get
        {
            lock (_log)
            {
                return [.. _log];
            }
        }
    }

    /// <summary>What a read gives.</summary>
    public static ulong Pattern(ulong offset, int width)
    {
        ulong value = 0;
        for (int i = width - 1; i >= 0; i--)
        {
            value = (value << 8) | (byte)(offset + (ulong)i + 1);
        }

        return value;
    }

    public ulong Read(ulong offset, int width)
    {
        Add(FormattableString.Invariant($"R{width} {offset:X}"));
        return Pattern(offset, width);
    }

    public void Write(ulong offset, int width, ulong value)
    {
        Add(FormattableString.Invariant($"W{width} {offset:X}={value:X}"));
    }

    private void Add(string line)
    {
        lock (_log)
        {
            _log.Add(line);
        }
    }
}
