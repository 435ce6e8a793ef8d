using System;
using System.Diagnostics;
using System.Linq;
using System.Security.Cryptography;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz;

/// <summary>What must still be true of a machine whatever a guest did to it: after a reset each device does correct I/O.</summary>
internal sealed class WorkingOrder(FuzzMachine machine, Random random)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private CompletionMode _mode;

    /// <summary>What firmware does after a reset: RAM, buses, windows, addresses; then every device is driven.</summary>
    /// <exception cref="DriverException">A device does not work.</exception>
    public void Verify()
    {
        Restore();
        InTime("disk", () => VerifyDisk(FuzzMachine.Disk));
        InTime("disk behind the port", () => VerifyDisk(FuzzMachine.BehindPort));
        InTime("entropy source", VerifyEntropy);
        InTime("network card", VerifyNet);
        InTime("console", VerifyConsole);
        machine.Counts.Verified += 5;
    }

    /// <summary>A driver that waits for an interrupt in vain looks at the ring when its time is up, and finds what it waited for.</summary>
    private void InTime(string device, Action verify)
    {
        _mode = (CompletionMode)random.Next(3);
        long start = Stopwatch.GetTimestamp();
        verify();
        Stopwatch.GetElapsedTime(start).Should().BeLessThan(Timeout, $"the {device} interrupts its driver ({_mode})");
    }

    private void Restore()
    {
        for (int region = 0; region < machine.Ram.Regions; region++)
        {
            machine.Ram.Add(region);
        }

        machine.Plug();
        if (random.Next(4) == 0)
        {
            machine.Bridge.Reset();
        }

        for (int i = 0; i < machine.Functions.Count; i++)
        {
            Write(i, 4, 2, 0);
        }

        // To D0, the slot powered, the link enabled, no reset of the secondary bus.
        PciFunction port = machine.Functions[FuzzMachine.Port];
        for (int i = 0; i < machine.Functions.Count; i++)
        {
            PowerOn(i);
        }

        Write(FuzzMachine.Port, 0x3e, 2, 0);
        int express = port.Capabilities.First(static c => c.Id == 0x10).Offset;
        Write(FuzzMachine.Port, express + 0x10, 2, 0);
        Write(FuzzMachine.Port, express + 0x18, 2, 0x01c0);
        machine.Bridge.Root.AssignResources();
        PowerOn(FuzzMachine.BehindPort);
        for (int i = 0; i < machine.Functions.Count; i++)
        {
            // Pins off, so that none that stays asserted hides the one that a driver waits for.
            Write(i, 4, 2, 0x406);
        }
    }

    private void PowerOn(int function)
    {
        if (machine.Functions[function].Capabilities.FirstOrDefault(static c => c.Id == 1) is { } power)
        {
            Write(function, power.Offset + 4, 2, 0);
        }
    }

    private void Write(int function, int offset, int width, uint value) =>
        machine.Memory.Write(machine.ConfigurationOf(function) + (uint)offset, width, value);

    private VirtioDriverOptions Options() => new()
    {
        Completion = _mode,
        Timeout = Timeout,
    };

    private void VerifyDisk(int number)
    {
        using var disk = VirtioBlockDriver.Open(new FuzzFunctionAccess(machine, number), Options());
        byte[] written = new byte[16 * VirtioBlockDriver.SectorSize];
        byte[] read = new byte[written.Length];
        random.NextBytes(written);
        ulong sector = (ulong)random.Next(2000);
        disk.Write(sector, written);
        disk.Flush();
        disk.Read(sector, read);
        SHA256.HashData(read).Should().Equal(SHA256.HashData(written), "what a reset disk reads is what was written");
    }

    private void VerifyEntropy()
    {
        using VirtioPciDriver driver = Start(FuzzMachine.Entropy, 1);
        using IDmaBuffer buffer = driver.MapBuffer(64);
        driver.Queues[0].TrySubmit([new DriverSegment(buffer.Iova, 64, true)]).Should().NotBeNull();
        driver.Queues[0].Notify();
        driver.Queues[0].WaitComplete(out uint length);
        length.Should().Be(64);
        buffer.Span.ToArray().Should().Contain(static b => b != 0);
    }

    private void VerifyNet()
    {
        machine.NetBackend.Clear();
        using VirtioPciDriver driver = Start(FuzzMachine.Net, 2);
        byte[] frame = new byte[100];
        random.NextBytes(frame);
        using IDmaBuffer sent = driver.MapBuffer(112);
        sent.Span.Clear();
        frame.CopyTo(sent.Span[12..]);
        Transmit(driver, 1, sent.Iova, 112);
        machine.NetBackend.LastSent[12..].Should().Equal(frame, "a reset card sends what it was given");
        using IDmaBuffer received = driver.MapBuffer(2048);
        driver.Queues[0].TrySubmit([new DriverSegment(received.Iova, 2048, true)]).Should().NotBeNull();
        driver.Queues[0].Notify();
        machine.NetBackend.Arrive(frame);
        driver.Queues[0].WaitComplete(out uint length);
        length.Should().Be(112);
        received.Span[12..112].ToArray().Should().Equal(frame, "a reset card receives what arrived");
    }

    private void VerifyConsole()
    {
        machine.ConsoleBackend.Clear();
        using VirtioPciDriver driver = Start(FuzzMachine.Console, 2);
        byte[] text = new byte[40];
        random.NextBytes(text);
        using IDmaBuffer sent = driver.MapBuffer(40);
        text.CopyTo(sent.Span);
        Transmit(driver, 1, sent.Iova, 40);
        machine.ConsoleBackend.LastWritten.Should().Equal(text, "a reset console writes what it was given");
        using IDmaBuffer received = driver.MapBuffer(64);
        driver.Queues[0].TrySubmit([new DriverSegment(received.Iova, 64, true)]).Should().NotBeNull();
        driver.Queues[0].Notify();
        machine.ConsoleBackend.Arrive(text);
        driver.Queues[0].WaitComplete(out uint length);
        length.Should().Be(40);
        received.Span[..40].ToArray().Should().Equal(text, "a reset console reads what was typed");
    }

    private VirtioPciDriver Start(int function, int queues)
    {
        var driver = VirtioPciDriver.Open(new FuzzFunctionAccess(machine, function), Options());
        driver.Start(queues);
        return driver;
    }

    private static void Transmit(VirtioPciDriver driver, int queue, ulong iova, uint length)
    {
        driver.Queues[queue].TrySubmit([new DriverSegment(iova, length, false)]).Should().NotBeNull();
        driver.Queues[queue].Notify();
        driver.Queues[queue].WaitComplete(out _);
    }
}
