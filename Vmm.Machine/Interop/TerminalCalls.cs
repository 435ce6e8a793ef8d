using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;

namespace Vmm.Machine.Interop;

/// <summary>Requests to pseudo-terminals (tty_ioctl(4)); every method gives 0 or an error number.</summary>
internal static unsafe class TerminalCalls
{
    private const nuint TCGETS = 0x5401;
    private const nuint TCSETS = 0x5402;
    private const nuint FIONREAD = 0x541b;
    private const nuint TIOCGPTN = 0x80045430;
    private const nuint TIOCSPTLCK = 0x40045431;
    private const nuint TIOCGPTPEER = 0x5441;

    /// <summary>Lets the slave of a master be opened.</summary>
    public static int Unlock(FileDescriptor master)
    {
        int locked = 0;
        return Control(master, TIOCSPTLCK, &locked);
    }

    /// <summary>The number of a master, which is the name of its slave in /dev/pts.</summary>
    public static int GetNumber(FileDescriptor master, out int number)
    {
        int value = 0;
        int error = Control(master, TIOCGPTN, &value);
        number = value;
        return error;
    }

    /// <summary>Opens the slave of a master; not by its path, which may be somebody else's in another mount namespace.</summary>
    public static int OpenSlave(FileDescriptor master, out FileDescriptor slave)
    {
        int number = Libc.ioctl(master, TIOCGPTPEER, (nuint)(uint)(Libc.O_RDWR | Libc.O_NOCTTY | Libc.O_CLOEXEC));
        int error = Libc.ErrorOf(number);
        slave = new FileDescriptor(number);
        return error;
    }

    /// <summary>As cfmakeraw: no signals, no echo, no lines, and nothing translated; eight bits, and reads of one byte, are the default.</summary>
    public static int MakeRaw(FileDescriptor slave)
    {
        termios settings;
        int error = Control(slave, TCGETS, &settings);
        if (error != 0)
        {
            return error;
        }

        (settings.c_iflag, settings.c_oflag, settings.c_lflag) = (0, 0, 0);
        return Control(slave, TCSETS, &settings);
    }

    /// <summary>How many bytes whoever reads the slave has not read yet.</summary>
    public static int GetUnread(FileDescriptor slave, out int unread)
    {
        int value = 0;
        int error = Control(slave, FIONREAD, &value);
        unread = value;
        return error;
    }

    private static int Control(FileDescriptor descriptor, nuint request, void* argument) =>
        Libc.ErrorOf(Libc.ioctl(descriptor, request, (nuint)argument));

    /// <summary>The kernel's struct termios.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct termios
    {
        public uint c_iflag;
        public uint c_oflag;
        public uint c_cflag;
        public uint c_lflag;
        public byte c_line;
        public fixed byte c_cc[19];
    }
}
