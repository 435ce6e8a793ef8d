using System;
using System.Buffers.Binary;
using System.Linq;
using System.Text;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Machine;

/// <summary>The drivers of a <see cref="FurnishedMachine"/>, on a guest that may move to another one.</summary>
internal sealed class GuestDrivers : IDisposable
{
    private const uint GivenPage = 60 << 8;
    private static readonly VirtioDriverOptions _options = new() { WantedFeatures = VirtioDriverOptions.TransportFeaturesSpoken };

    private readonly VirtioBlockDriver _disk;
    private readonly VirtioNetDriver _net;
    private readonly VirtioEntropyDriver _entropy;
    private readonly VirtioConsoleDriver _console;
    private readonly VirtioPciDriver _balloon;
    private readonly VirtioBlockDriver _plugged;
    private readonly IDmaBuffer _pages;
    private readonly IDmaBuffer _sector;

    /// <summary>Starts them all.</summary>
    public GuestDrivers(MovingGuest guest)
    {
        _disk = VirtioBlockDriver.Open(guest.Reach(FurnishedMachine.Disk), _options);
        _net = VirtioNetDriver.Open(guest.Reach(FurnishedMachine.Net), _options);
        _entropy = VirtioEntropyDriver.Open(guest.Reach(FurnishedMachine.Entropy), _options);
        _console = VirtioConsoleDriver.Open(guest.Reach(FurnishedMachine.Console), _options);
        _balloon = VirtioPciDriver.Open(guest.Reach(FurnishedMachine.Balloon), _options with { DeviceType = VirtioDeviceType.Balloon });
        _balloon.Start(2);
        _plugged = VirtioBlockDriver.Open(guest.Reach(FurnishedMachine.Plugged), _options);
        _pages = _balloon.MapBuffer(4);
        _sector = _disk.Driver.MapBuffer(512);
    }

    public ulong Features => _disk.Driver.Features;

    public MacAddress? Mac => _net.Mac;

    public void ChangeMac(MacAddress address) => _net.TrySetMac(address).Should().BeTrue();

    /// <summary>Each driver has its device do something, often enough that rings wrap.</summary>
    /// <param name="machine">The machine that the guest is in.</param>
    /// <param name="content">The bytes of its disk.</param>
    public void Work(FurnishedMachine machine, byte[] content)
    {
        byte[] data = new byte[1024];
        int start = machine.Card.Sent.Count;
        for (int i = 0; i < 40; i++)
        {
            _disk.Read((ulong)i, data);
            data.Should().Equal(content.AsSpan(i * 512, 1024).ToArray());
            _plugged.Read((ulong)i + 7, data);
            data.Should().Equal(content.AsSpan((i + 7) * 512, 1024).ToArray());
            _entropy.Read(data);
            data.Should().Contain(static value => value != 0);
            _console.Write(Encoding.ASCII.GetBytes($"line {i}\n"));
            _net.Transmit(Frame(i));
            machine.Card.Arrive(Frame(100 + i));
            _net.TryReceive(data, FurnishedMachine.Patience, out int length).Should().BeTrue();
            data.AsSpan(0, length).ToArray().Should().Equal(Frame(100 + i));
        }

        _net.WaitTransmitted();
        machine.Card.Sent.Skip(start).Select(static packet => packet[^1]).Should().Equal(Enumerable.Range(0, 40).Select(static i => (byte)i));
        BinaryPrimitives.WriteUInt32LittleEndian(_pages.Span, GivenPage);
        Balloon(0);
        Balloon(1);
        _balloon.WriteDeviceConfiguration(4, 4, 1);
        Encoding.ASCII.GetString(machine.ConsoleOutput.ToArray()).Should().EndWith("line 38\nline 39\n");
    }

    /// <summary>Makes requests available that nobody serves now.</summary>
    public void Post()
    {
        for (ulong i = 0; i < 3; i++)
        {
            _disk.Queues[0].TrySubmit(BlockRequestType.Read, i, [new DriverSegment(_sector.Iova, 512, true)]).Should().NotBeNull();
        }

        _disk.Queues[0].Notify();
    }

    /// <summary>Waits until those are served.</summary>
    public void TakePosted(byte[] content)
    {
        for (int i = 0; i < 3; i++)
        {
            _ = _disk.Queues[0].WaitComplete(out BlockStatus status);
            status.Should().Be(BlockStatus.Ok);
        }

        _disk.Queues[0].TryComplete(out _, out _).Should().BeFalse("nothing is doubled");
        _sector.Span.ToArray().Should().Equal(content.AsSpan(1024, 512).ToArray());
    }

    public void Dispose()
    {
        _disk.Dispose();
        _net.Dispose();
        _entropy.Dispose();
        _console.Dispose();
        _balloon.Dispose();
        _plugged.Dispose();
    }

    private static byte[] Frame(int last)
    {
        byte[] frame = new byte[60];
        frame[12] = 8;
        frame[^1] = (byte)last;
        return frame;
    }

    private void Balloon(int queue)
    {
        _balloon.Queues[queue].TrySubmit([new DriverSegment(_pages.Iova, 4, false)]).Should().NotBeNull();
        _balloon.Queues[queue].Notify();
        _ = _balloon.Queues[queue].WaitComplete(out _);
    }
}
