using System;

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

    /// <summary>Disables what <see cref="EnableMessages"/> or <see cref="EnablePin"/> enabled; does nothing otherwise.</summary>
    void DisableInterrupts();

    /// <summary>Gives zeroed memory that the function reaches.</summary>
    /// <param name="length">Bytes, at least 1.</param>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    IDmaBuffer MapBuffer(int length);
}
