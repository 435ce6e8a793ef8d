using System;
using System.Globalization;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Interop;
using Vmm.Machine.Interop;

namespace Vmm.Machine.Host;

/// <summary>A pseudo-terminal: a device writes to and reads from the master, whoever likes opens the slave by its path, again and again.</summary>
/// <remarks>
/// The slave passes every byte on as it is (raw). It is kept open here too: a master whose slave nobody has open reports a hang-up for as long as
/// that lasts. Belongs to one device at a time; <see cref="Path"/> may be asked for from any thread.
/// </remarks>
public sealed class PseudoTerminal : IDisposable
{
    private const int LookMilliseconds = 10;
    private const int IdleLooks = 10;

    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(500);

    private readonly FileDescriptor _master;
    private readonly FileDescriptor _slave;

    private PseudoTerminal(FileDescriptor master, FileDescriptor slave, string path) => (_master, _slave, Path) = (master, slave, path);

    /// <summary>Where the slave is.</summary>
    public string Path { get; }

    /// <summary>The master: it never blocks.</summary>
    internal int Descriptor => _master.Number;

    /// <summary>Makes one.</summary>
    /// <exception cref="HostException">The host has none left, or no /dev/ptmx.</exception>
    public static PseudoTerminal Open()
    {
        int error = DescriptorIo.Open("/dev/ptmx", Libc.O_RDWR | Libc.O_NOCTTY | Libc.O_NONBLOCK, out FileDescriptor master);
        FileDescriptor? slave = null;
        try
        {
            Check(error, "open", "/dev/ptmx cannot be opened; see /proc/sys/kernel/pty/max, and whether /dev/pts is mounted");
            Check(TerminalCalls.Unlock(master), "TIOCSPTLCK", "a pseudo-terminal cannot be unlocked");
            Check(TerminalCalls.GetNumber(master, out int number), "TIOCGPTN", "a pseudo-terminal does not say its number");
            Check(TerminalCalls.OpenSlave(master, out slave), "TIOCGPTPEER", "a pseudo-terminal cannot be opened");
            Check(TerminalCalls.MakeRaw(slave), "TCSETS", "a pseudo-terminal cannot be made raw");
            return new PseudoTerminal(master, slave, string.Create(CultureInfo.InvariantCulture, $"/dev/pts/{number}"));
        }
        catch
        {
            slave?.Dispose();
            master.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Closes it: whoever has the slave open sees it hang up. Not before the machine is disposed that uses it. Whoever reads is given half a second
    /// at most to have what was written.
    /// </summary>
    public void Dispose() => Close(LastWords);

    /// <summary>Closes it with another limit.</summary>
    /// <param name="limit">How long a reader may take for the rest, zero or more.</param>
    internal void Close(TimeSpan limit)
    {
        if (!_master.IsClosed)
        {
            WaitUntilRead(limit);
            _slave.Dispose();
            _master.Dispose();
        }
    }

    /// <summary>
    /// Waits until whoever reads the slave has what was written, for it is lost when the master is closed. Not longer than the limit, nor than a
    /// tenth of a second in which nobody reads.
    /// </summary>
    private void WaitUntilRead(TimeSpan limit)
    {
        long end = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        int last = int.MaxValue;
        for (int idle = 0; idle < IdleLooks && Environment.TickCount64 < end; idle++)
        {
            // What was written last may be on its way to where it is counted: it is looked for after a pause.
            if (DescriptorIo.WaitHungUp(_slave.Number, LookMilliseconds)
                || TerminalCalls.GetUnread(_slave, out int unread) != 0 || unread == 0)
            {
                return;
            }

            idle = unread < last ? 0 : idle;
            last = unread;
        }
    }

    private static void Check(int error, string step, string detail)
    {
        if (error != 0)
        {
            throw new HostException(step, error, detail);
        }
    }
}
