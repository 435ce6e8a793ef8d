using System;
using System.Collections.Generic;
using System.Diagnostics;

namespace Vmm.Machine.Events;

/// <summary>Something that has happened to a machine or to the program that runs it, in the words of cloud-hypervisor's event monitor.</summary>
/// <param name="Source">Who tells: <c>vmm</c>, <c>vm</c>, <c>virtio-device</c> or <c>cpu_manager</c>.</param>
/// <param name="Name">One word: <c>booted</c>, <c>paused</c>, <c>activated</c> ...</param>
/// <param name="Properties">Names and values, or null; <c>id</c> is that of the device.</param>
public sealed record MachineEvent(string Source, string Name, IReadOnlyDictionary<string, string>? Properties = null)
{
    private static readonly long Start = Stopwatch.GetTimestamp();

    /// <summary>When, from the first event of the process on.</summary>
    public TimeSpan Time { get; } = Stopwatch.GetElapsedTime(Start);

    /// <summary>An event of a device.</summary>
    /// <param name="source">Who tells.</param>
    /// <param name="name">One word.</param>
    /// <param name="id">The device.</param>
    public static MachineEvent Of(string source, string name, string id) => new(source, name, new Dictionary<string, string> { ["id"] = id });
}
