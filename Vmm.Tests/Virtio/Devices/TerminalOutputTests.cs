using System;
using System.Globalization;
using System.Threading.Tasks;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Devices;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Output to a terminal that was handed to us and may block: it says that it takes output while it has room for less than we write.</summary>
public sealed class TerminalOutputTests
{
    private const int Output = 1;
    private const nuint TIOCSPTLCK = 0x40045431;
    private const nuint TIOCGPTN = 0x80045430;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public async Task A_console_whose_terminal_nobody_reads_can_be_stopped()
    {
        FileDescriptor master = OpenMaster(out string path);
        DescriptorIo.Open(path, Libc.O_RDWR | Libc.O_NOCTTY, out FileDescriptor terminal).Should().Be(0);
        using FileDescriptor slave = terminal;
        LeaveLittleRoom(path, master);
        using VirtioDeviceRig console = new VirtioDeviceRig(new ConsoleDevice(new DescriptorConsoleBackend(-1, slave.Number))).Start();
        console.Drivers[Output].Add(Readable(console.Ram.Place(new byte[1 << 15]), 1 << 15));
        console.Kick(Output);
        Eventually.Holds(() => !DescriptorIo.WaitWritable(slave.Number, 0), "the device fills the terminal");

        Task stop = Task.Run(() => console.Device.StopQueue(Output));
        bool stopped = await Task.WhenAny(stop, Task.Delay(Patience)) == stop;

        // A write that waits ends with the terminal.
        master.Dispose();
        await stop;
        stopped.Should().BeTrue("a stop does not wait for whoever reads the terminal");
    }

    private static unsafe FileDescriptor OpenMaster(out string path)
    {
        DescriptorIo.Open("/dev/ptmx", Libc.O_RDWR | Libc.O_NOCTTY | Libc.O_NONBLOCK, out FileDescriptor master).Should().Be(0);
        int unlocked = 0;
        int number = 0;
        Libc.ioctl(master, TIOCSPTLCK, (nuint)(&unlocked)).Should().Be(0);
        Libc.ioctl(master, TIOCGPTN, (nuint)(&number)).Should().Be(0);
        path = string.Create(CultureInfo.InvariantCulture, $"/dev/pts/{number}");
        return master;
    }

    /// <summary>Fills a terminal, then reads until it takes output again: less than a page of it.</summary>
    private static void LeaveLittleRoom(string path, FileDescriptor master)
    {
        DescriptorIo.Open(path, Libc.O_RDWR | Libc.O_NOCTTY | Libc.O_NONBLOCK, out FileDescriptor filler).Should().Be(0);
        using FileDescriptor own = filler;
        byte[] piece = new byte[100];
        Eventually.Holds(
            () =>
            {
                while (DescriptorIo.WriteSome(own.Number, piece, out _) == 0)
                {
                }

                return !DescriptorIo.WaitWritable(own.Number, 50);
            },
            "a terminal is full some time");
        Eventually.Holds(
            () =>
            {
                DescriptorIo.Read(master.Number, piece.AsSpan(0, 1), out _);
                return DescriptorIo.WaitWritable(own.Number, 1);
            },
            "a terminal that is read takes output again");
    }
}
