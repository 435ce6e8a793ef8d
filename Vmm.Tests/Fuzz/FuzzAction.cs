namespace Vmm.Tests.Fuzz;

/// <summary>
/// What one operation of the random driver does. Addresses are resolved when it runs, so that any subset of a list still makes sense.
/// </summary>
internal enum FuzzAction : byte
{
    /// <summary>Reads configuration memory of a function: offset, width 1 to 8.</summary>
    ConfigRead,

    /// <summary>Writes configuration memory of a function.</summary>
    ConfigWrite,

    /// <summary>Reads a BAR of a function, where it decodes or would decode.</summary>
    BarRead,

    /// <summary>Writes a BAR of a function.</summary>
    BarWrite,

    /// <summary>Reads any address of memory space.</summary>
    MemoryRead,

    /// <summary>Writes any address of memory space.</summary>
    MemoryWrite,

    /// <summary>Reads a port.</summary>
    PortRead,

    /// <summary>Writes a port.</summary>
    PortWrite,

    /// <summary>Stores 1, 2, 4 or 8 bytes in guest RAM; nothing happens in a hole.</summary>
    RamWrite,

    /// <summary>Fills guest RAM: the value's low byte, as often as its upper half says.</summary>
    RamFill,

    /// <summary>Adds the RAM region of a number if it is absent.</summary>
    RamAdd,

    /// <summary>Removes the RAM region of a number if it is there.</summary>
    RamRemove,

    /// <summary>Waits a moment for 2 bytes of RAM to take a value, as a driver waits for completions.</summary>
    Await,

    /// <summary>The host has something for a function: a packet or console input of a length.</summary>
    Arrive,

    /// <summary>Takes the function behind the port out by surprise.</summary>
    Unplug,

    /// <summary>Puts it back.</summary>
    Plug,
}
