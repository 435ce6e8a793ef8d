using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Bus;

/// <summary>What an <see cref="AddressSpace"/> is made with; every part is optional, so that device tests need no hypervisor.</summary>
public sealed record AddressSpaceOptions
{
    /// <summary>Memory or port I/O.</summary>
    public AddressSpaceKind Kind { get; init; } = AddressSpaceKind.Memory;

    /// <summary>Shown in logs and in the memory map.</summary>
    public string Name { get; init; } = "memory";

    /// <summary>Who waits for whom; spaces of one machine share one.</summary>
    public AccessDomain? Domain { get; init; }

    /// <summary>Where memory claims become slots; without it they are dispatched.</summary>
    public IMemorySlots? MemorySlots { get; init; }

    /// <summary>Where doorbell claims become ioeventfds; without it writes reach the handlers.</summary>
    public IDoorbells? Doorbells { get; init; }

    /// <summary>Told (rate-limited) of accesses that nobody claims, on the accessing thread.</summary>
    public IUnclaimedAccessSink? UnclaimedSink { get; init; }

    /// <summary>Where the space logs; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
