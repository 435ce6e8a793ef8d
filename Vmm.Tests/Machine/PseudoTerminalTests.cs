using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Devices;
using Vmm.Machine.Host;
using Vmm.Pci;
using Vmm.Tests.Kvm;
using Vmm.Virtio.Devices;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Machine;

/// <summary>A serial port and a console on pseudo-terminals, with whoever is or is not at the other end.</summary>
public sealed class PseudoTerminalTests
{
    private const int Input = 0;
    private const int Output = 1;
    private const int Plenty = 10 << 20;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Twice half a second is what a serial port may take to be disposed; the rest is for a busy machine.</summary>
    private static readonly TimeSpan DisposalLimit = TimeSpan.FromSeconds(5);

    private static readonly byte[] EveryByte = [.. Enumerable.Range(0, 256).Select(static i => (byte)i)];

    [Fact]
    public void Every_byte_crosses_a_serial_port_both_ways_as_it_is()
    {
        using SerialConsole console = Serial();
        using FileDescriptor user = Open(console.Path!);

        Send(console, EveryByte);
        Read(user, EveryByte.Length).Should().Equal(EveryByte);

        DescriptorIo.WriteSome(user.Number, EveryByte, out int sent).Should().Be(0);
        sent.Should().Be(EveryByte.Length);
        Receive(console, EveryByte.Length).Should().Equal(EveryByte);
        IsQuiet(console).Should().BeTrue("nothing that the guest sent is echoed");
        DescriptorIo.IsReadable(user.Number).Should().BeFalse("nor what the user typed");
    }

    [Fact]
    public void A_serial_port_goes_on_while_its_user_comes_and_goes()
    {
        using SerialConsole console = Serial();
        for (byte round = 1; round <= 5; round++)
        {
            byte[] text = [(byte)'a', round, (byte)'z'];
            Send(console, text);
            using (FileDescriptor user = Open(console.Path!))
            {
                Read(user, 3).Should().Equal(text, "what was sent while nobody was there is in the terminal");
                DescriptorIo.WriteSome(user.Number, text, out _).Should().Be(0);
                Receive(console, 3).Should().Equal(text);
            }

            IsQuiet(console).Should().BeTrue();
        }
    }

    [Fact]
    public void A_serial_port_that_nobody_reads_takes_what_the_guest_sends_and_its_first_part_is_kept()
    {
        using SerialConsole console = Serial();
        Send(console, Pattern(Plenty));
        using FileDescriptor user = Open(console.Path!);

        byte[] kept = Drain(console, user);

        kept.Length.Should().BeInRange(4096, 1 << 20);
        kept.Take(4095).Should().Equal(Pattern(4095));
        Send(console, "fresh"u8.ToArray());
        Read(user, 5).Should().Equal("fresh"u8.ToArray());
    }

    [Fact]
    public void A_serial_port_whose_terminal_is_full_is_disposed_in_time()
    {
        SerialConsole console = Serial();
        Send(console, Pattern(100_000));
        var watch = Stopwatch.StartNew();
        console.Dispose();
        watch.Elapsed.Should().BeLessThan(DisposalLimit);
        DescriptorIo.Open(console.Path!, Libc.O_RDWR | Libc.O_NOCTTY, out FileDescriptor gone).Should().NotBe(0, "the terminal is gone");
        gone.Dispose();
    }

    [Fact]
    public void The_last_words_reach_a_user_who_reads()
    {
        byte[] words = Pattern(3000);
        SerialConsole console = Serial();
        using FileDescriptor user = Open(console.Path!);
        byte[] read = [];
        var reader = new Thread(() => read = Read(user, words.Length));
        Send(console, words);
        reader.Start();
        console.Dispose();
        reader.Join(Patience).Should().BeTrue();
        read.Should().Equal(words);
    }

    [Fact]
    public void The_log_says_where_a_serial_port_is()
    {
        using var log = new CollectingLoggerFactory();
        using SerialConsole console = Serial(log);
        console.Path.Should().MatchRegex("^/dev/pts/[0-9]+$");
        log.Lines.Should().Contain($"serial is on the pseudo-terminal {console.Path}");
    }

    [Fact]
    public void Every_byte_crosses_a_console_both_ways_as_it_is()
    {
        using VirtioDeviceRig console = Console(out string path);
        using FileDescriptor user = Open(path);

        Write(console, EveryByte);
        Read(user, EveryByte.Length).Should().Equal(EveryByte);

        TypeAndTake(console, user, EveryByte).Should().Equal(EveryByte);
        DescriptorIo.IsReadable(user.Number).Should().BeFalse("nothing is echoed");
        console.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void A_console_goes_on_while_its_user_comes_and_goes()
    {
        using VirtioDeviceRig console = Console(out string path);
        for (byte round = 1; round <= 5; round++)
        {
            byte[] text = [(byte)'a', round, (byte)'z'];
            Write(console, text);
            using FileDescriptor user = Open(path);
            Read(user, 3).Should().Equal(text);
            TypeAndTake(console, user, text).Should().Equal(text);
        }
    }

    [Fact]
    public void A_console_that_nobody_reads_takes_what_the_guest_sends_and_its_first_part_is_kept()
    {
        using VirtioDeviceRig console = Console(out string path);
        const int Piece = 1 << 18;
        byte[] pattern = Pattern(Piece);
        ulong place = console.Ram.Place(pattern);
        for (int i = 0; i < Plenty / Piece; i++)
        {
            console.Request(Output, Readable(place, Piece));
        }

        var device = (ConsoleDevice)console.Device;
        using FileDescriptor user = Open(path);
        List<byte> kept = [];
        while (DescriptorIo.IsReadable(user.Number))
        {
            kept.AddRange(Read(user, 1));
        }

        kept.Count.Should().BeInRange(4095, 1 << 20);
        kept.Take(4095).Should().Equal(pattern.Take(4095));
        device.DroppedBytes.Should().BeInRange(Plenty - (1 << 20), Plenty - 4095);
        Write(console, "fresh"u8.ToArray());
        Read(user, 5).Should().Equal("fresh"u8.ToArray());
    }

    [Fact]
    public void A_console_whose_terminal_is_full_is_disposed_in_time()
    {
        VirtioDeviceRig console = Console(out string path);
        console.Request(Output, Readable(console.Ram.Place(Pattern(1 << 16)), 1 << 16));
        var watch = Stopwatch.StartNew();
        console.Dispose();
        watch.Elapsed.Should().BeLessThan(DisposalLimit);
        DescriptorIo.Open(path, Libc.O_RDWR | Libc.O_NOCTTY, out FileDescriptor gone).Should().NotBe(0);
        gone.Dispose();
    }

    [Fact]
    public void Terminals_that_outlive_a_machine_are_the_same_in_the_next()
    {
        var pty = new CharacterOptions(CharacterKind.Pty);
        using var terminals = new MachineTerminals();
        MachineOptions options = terminals.Open(
            MachineRig.Options with { Serial = pty, Devices = [new EntropyOptions(), new ConsoleOptions(pty)] });
        PseudoTerminal serial = options.Serial.Terminal!;
        PseudoTerminal other = options.Devices.OfType<ConsoleOptions>().Single().Character.Terminal!;
        other.Path.Should().NotBe(serial.Path);
        options.Devices[0].Should().Be(new EntropyOptions());
        terminals.Open(options).Serial.Should().Be(options.Serial, "what has a terminal keeps it");
        terminals.Open(options).Devices.Should().Equal(options.Devices);
        using FileDescriptor user = Open(serial.Path);
        for (byte round = 1; round <= 3; round++)
        {
            using (var console = SerialConsole.Create(options, new FakeLine(), NullLogger.Instance))
            {
                console.Path.Should().Be(serial.Path);
                Send(console, [(byte)'a', round]);
                DescriptorIo.WriteSome(user.Number, [round], out _).Should().Be(0);
                Receive(console, 1).Should().Equal(round);
            }

            using (PciFunction function = new ConsoleKind().Create(options.Devices[1], new DeviceContext("c", new GuestMemory())))
            {
                Open(other.Path).Dispose();
            }

            Read(user, 2).Should().Equal((byte)'a', round);
        }

        terminals.Dispose();
        TryOpen(serial.Path).Should().BeNull();
        TryOpen(other.Path).Should().BeNull();
    }

    [Fact]
    public void The_catalogue_makes_a_console_on_a_terminal_and_the_log_says_where()
    {
        using var log = new CollectingLoggerFactory();
        var options = new ConsoleOptions(new CharacterOptions(CharacterKind.Pty));
        using PciFunction function = new ConsoleKind().Create(options, new DeviceContext("here", new GuestMemory(), loggerFactory: log));

        string line = log.Lines.Should().ContainSingle(static line => line.Contains("pseudo-terminal", StringComparison.Ordinal)).Subject;
        line.Should().MatchRegex("^here is on the pseudo-terminal /dev/pts/[0-9]+$");
        using FileDescriptor user = Open(line.Split(' ')[^1]);
        DeviceCatalogue.Default.WriteJson(options).Should().Contain("\"character\":{\"kind\":\"pty\"}");
    }

    [KvmFact]
    public void A_machine_says_where_its_terminals_are()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-terminals");
        try
        {
            string kernel = Path.Combine(folder.FullName, "kernel");
            File.WriteAllBytes(kernel, TinyKernel.Linux64(static c =>
            {
                c.Print("up");
                c.Spin();
            }));
            var pty = new CharacterOptions(CharacterKind.Pty);
            using var machine = VirtualMachine.Create(new MachineOptions
            {
                KernelPath = kernel,
                Memory = new MemoryOptions(64 << 20),
                Serial = pty,
                Devices = [new EntropyOptions(), new ConsoleOptions(pty) { Id = "c" }],
            });
            using FileDescriptor user = Open(machine.SerialPath!);
            using FileDescriptor other = Open(machine.ConsolePath("c")!);
            machine.ConsolePath("c").Should().NotBe(machine.SerialPath);
            machine.ConsolePath("rng").Should().BeNull();
            machine.ConsolePath("none").Should().BeNull();
            machine.Start();
            Read(user, 2).Should().Equal("up"u8.ToArray());
            machine.RequestStop();
            machine.WaitForExit();
        }
        finally
        {
            folder.Delete(true);
        }
    }

    private static SerialConsole Serial(ILoggerFactory? log = null) => SerialConsole.Create(
        MachineRig.Options with { Serial = new CharacterOptions(CharacterKind.Pty) },
        new FakeLine(),
        log?.CreateLogger("test") ?? NullLogger.Instance);

    private static VirtioDeviceRig Console(out string path)
    {
        var backend = new TerminalConsoleBackend(PseudoTerminal.Open(), owned: true);
        path = backend.Path;
        return new VirtioDeviceRig(new ConsoleDevice(backend)).Start();
    }

    private static FileDescriptor Open(string path) => TryOpen(path) ?? throw new InvalidOperationException($"{path} cannot be opened");

    private static FileDescriptor? TryOpen(string path)
    {
        if (DescriptorIo.Open(path, Libc.O_RDWR | Libc.O_NOCTTY | Libc.O_NONBLOCK, out FileDescriptor user) == 0)
        {
            return user;
        }

        user.Dispose();
        return null;
    }

    private static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(static i => (byte)(i % 251))];

    /// <summary>Transmits as a driver does: a FIFO's worth each time the transmitter is empty.</summary>
    private static void Send(SerialConsole console, byte[] bytes)
    {
        console.Port.Registers.Write(2, 1, 1);
        for (int i = 0; i < bytes.Length; i++)
        {
            if (i % 16 == 0 && !IsTransmitterEmpty(console))
            {
                SpinWait.SpinUntil(() => IsTransmitterEmpty(console), Patience).Should().BeTrue("the transmitter takes the next");
            }

            console.Port.Registers.Write(0, 1, bytes[i]);
        }
    }

    private static bool IsTransmitterEmpty(SerialConsole console) => (console.Port.Registers.Read(5, 1) & 0x20) != 0;

    private static byte[] Receive(SerialConsole console, int count)
    {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++)
        {
            SpinWait.SpinUntil(() => (console.Port.Registers.Read(5, 1) & 1) != 0, Patience).Should().BeTrue("there is more to receive");
            bytes[i] = (byte)console.Port.Registers.Read(0, 1);
        }

        return bytes;
    }

    private static bool IsQuiet(SerialConsole console) => !SpinWait.SpinUntil(() => (console.Port.Registers.Read(5, 1) & 1) != 0, 50);

    private static byte[] Read(FileDescriptor user, int count)
    {
        byte[] bytes = new byte[count];
        for (int done = 0; done < count;)
        {
            SpinWait.SpinUntil(() => DescriptorIo.IsReadable(user.Number), Patience).Should().BeTrue("{0} of {1} bytes have come", done, count);
            DescriptorIo.Read(user.Number, bytes.AsSpan(done), out int received).Should().Be(0);
            received.Should().BePositive("the terminal is there, after {0} of {1} bytes", done, count);
            done += received;
        }

        return bytes;
    }

    /// <summary>Reads until nothing has come for a while: what the device had still to write comes too.</summary>
    private static byte[] Drain(SerialConsole console, FileDescriptor user)
    {
        List<byte> all = [];
        while (SpinWait.SpinUntil(() => DescriptorIo.IsReadable(user.Number), 300))
        {
            all.AddRange(Read(user, 1));
        }

        IsTransmitterEmpty(console).Should().BeTrue();
        return [.. all];
    }

    private static void Write(VirtioDeviceRig console, byte[] text) =>
        console.Request(Output, Readable(console.Ram.Place(text), (uint)text.Length));

    private static byte[] TypeAndTake(VirtioDeviceRig console, FileDescriptor user, byte[] text)
    {
        DescriptorIo.WriteSome(user.Number, text, out int sent).Should().Be(0);
        sent.Should().Be(text.Length);
        List<byte> taken = [];
        ulong place = console.Ram.Allocate(64);
        while (taken.Count < text.Length)
        {
            console.Drivers[Input].Add(Writable(place, 64));
            console.Kick(Input);
            (_, uint length) = console.WaitUsed(Input);
            taken.AddRange(console.Ram.Read(place, (int)length));
        }

        return [.. taken];
    }
}
