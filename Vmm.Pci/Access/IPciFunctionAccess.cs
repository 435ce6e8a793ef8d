using System;
using System.Collections.Generic;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>A PCI function as a user-space driver reaches it: ours in process, or a real one through the kernel (DRV-1).</summary>
public interface IPciFunctionAccess
{
    /// <summary>Message-signalled vectors that can be had; 0 for none.</summary>
    int MessageVectors { get; }

    /// <summary>Whether <see cref="EnablePin"/> can deliver the INTx pin.</summary>
    bool HasPin { get; }

    /// <summary>Reads configuration space.</summary>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    uint ReadConfiguration(int offset, int width);

    /// <summary>Writes configuration space.</summary>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">Little-endian.</param>
    void WriteConfiguration(int offset, int width, uint value);

    /// <summary>Bytes of a BAR, 0 if there is no such BAR or it cannot be reached.</summary>
    /// <param name="bar">0 to 5.</param>
    ulong GetBarLength(int bar);

    /// <summary>Reads a BAR.</summary>
    /// <param name="bar">0 to 5.</param>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    ulong ReadBar(int bar, ulong offset, int width);

    /// <summary>Writes a BAR.</summary>
    /// <param name="bar">0 to 5.</param>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    /// <param name="value">Little-endian.</param>
    void WriteBar(int bar, ulong offset, int width, ulong value);

    /// <summary>Enables MSI-X with the first vectors.</summary>
    /// <param name="count">Vectors, 1 to <see cref="MessageVectors"/>.</param>
    /// <param name="signalled">Told the vector; called on any thread, must not block.</param>
    void EnableMessages(int count, Action<int> signalled);

    /// <summary>Enables MSI-X with the first vectors, each of which signals an eventfd: the caller waits for it as it likes.</summary>
    /// <param name="events">
    /// One a vector, 1 to <see cref="MessageVectors"/> of them. They stay the caller's, and valid until interrupts are disabled.
    /// </param>
    void EnableMessages(IReadOnlyList<EventFd> events)
    {
        ArgumentNullException.ThrowIfNull(events);
        EnableMessages(events.Count, vector => events[vector].Signal());
    }

    /// <summary>Delivers the INTx pin.</summary>
    /// <param name="asserted">
    /// Called when the pin is asserted, on any thread; must not block. The cause is taken away later, see <see cref="PinServed"/>.
    /// </param>
    void EnablePin(Action asserted);

    /// <summary>
    /// The driver has read the ISR: the pin is to be heard again. For accesses that mask the pin when they deliver it, as VFIO does;
    /// the others need not implement it.
    /// </summary>
    void PinServed()
    {
    }

    /// <summary>Disables what <see cref="EnableMessages(int, Action{int})"/> or <see cref="EnablePin"/> enabled; does nothing otherwise.</summary>
    void DisableInterrupts();

    /// <summary>Gives zeroed memory that the function reaches.</summary>
    /// <param name="length">Bytes, at least 1.</param>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    /// <exception cref="DmaMappingLimitException">The kernel allows no more mappings.</exception>
    IDmaBuffer MapBuffer(int length);

    /// <summary>Has the function reach memory of the caller's, which stays the caller's: a request can use it as it lies there.</summary>
    /// <param name="memory">The memory.</param>
    /// <param name="offset">First byte to be mapped, by offset in the memory: whole pages.</param>
    /// <param name="length">Bytes, at least 1: whole pages.</param>
    /// <param name="writable">Whether the function may write. Where the way to it has no protection, it can all the same.</param>
    /// <exception cref="ArgumentException">
    /// That is no range of whole pages of the memory, or the memory is read-only and the mapping is not.
    /// </exception>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    /// <exception cref="DmaMappingLimitException">The kernel allows no more mappings.</exception>
    /// <exception cref="NotSupportedException">This way to the function has only memory of its own.</exception>
    IDmaMapping MapMemory(HostMemory memory, ulong offset, ulong length, bool writable = true) =>
        throw new NotSupportedException("this way to the function maps no memory but its own: use MapBuffer");

    /// <summary>
    /// Resets the function alone, if it can be: by function-level reset or what else the host has. Afterwards it decodes where it did, and its
    /// interrupts are as they are at power-on; they are disabled before. No other thread accesses the function meanwhile.
    /// </summary>
    /// <returns>False if there is no such reset.</returns>
    /// <exception cref="HostException">The reset failed.</exception>
    bool TryReset() => false;
}
