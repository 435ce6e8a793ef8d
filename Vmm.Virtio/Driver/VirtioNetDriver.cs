using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Driver;

/// <summary>
/// A network device as a driver uses it (virtio 1.2, 5.1): frames in and out on the first pair of queues, commands on the control queue.
/// </summary>
/// <remarks>One thread at a time for each of receiving, sending and commanding. No offloads: frames are whole, checksums complete.</remarks>
public sealed class VirtioNetDriver : IDisposable
{
    private const int HeaderLength = 12;
    private const int BufferCountOffset = 10;
    private const int MostControlData = 4096;
    private const int MostPairs = 0x8000;
    private const byte NoAnswer = 0xff;
    private const ulong Wanted = NetFeatures.Mac | NetFeatures.Status | NetFeatures.MergeableBuffers
        | NetFeatures.ControlQueue | NetFeatures.ControlReceiveMode | NetFeatures.ControlMacAddress;

    private readonly RequestSlots _receive;
    private readonly RequestSlots _transmit;
    private readonly RequestSlots? _control;
    private readonly int _bufferSize;
    private readonly int _receiveBufferSize;

    private VirtioNetDriver(VirtioPciDriver driver, NetDriverOptions options)
    {
        Driver = driver;
        _bufferSize = options.BufferSize;
        _receiveBufferSize = options.ReceiveBufferSize ?? _bufferSize;
        _receive = new RequestSlots(driver, driver.Queues[0], driver.Queues[0].Size, _receiveBufferSize);
        _transmit = new RequestSlots(driver, driver.Queues[1], driver.Queues[1].Size, _bufferSize);
        _control = driver.Queues.Count > 2 ? new RequestSlots(driver, driver.Queues[2], 1, MostControlData + 3) : null;
        while (_receive.TryTake(out int slot))
        {
            Post(slot);
        }

        _receive.Queue.Notify();
    }

    /// <summary>The driver underneath.</summary>
    public VirtioPciDriver Driver { get; }

    /// <summary>The address that the device has, or null if it tells none.</summary>
    public MacAddress? Mac => (Driver.Features & NetFeatures.Mac) == 0 ? null : Driver.ReadDeviceConfiguration(static read =>
    {
        Span<byte> bytes = stackalloc byte[MacAddress.Size];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)read(i, 1);
        }

        return MacAddress.FromBytes(bytes);
    });

    /// <summary>Whether there is a carrier; true for a device that does not say.</summary>
    public bool LinkUp => (Driver.Features & NetFeatures.Status) == 0 || (Driver.ReadDeviceConfiguration(static read => read(6, 2)) & 1) != 0;

    /// <summary>Whether a received frame may lie in several buffers.</summary>
    public bool MergesBuffers => (Driver.Features & NetFeatures.MergeableBuffers) != 0;

    /// <summary>Initialises and starts a network device.</summary>
    /// <param name="access">The function.</param>
    /// <param name="options">What to ask for; mergeable buffers, the control queue, address and status are wanted unless they are refused.</param>
    /// <param name="net">Buffers and queues.</param>
    /// <exception cref="ArgumentException">Buffers or queues have sizes that cannot be, or the buffers of a queue are over 2 GiB.</exception>
    /// <exception cref="DriverException">The device cannot be driven.</exception>
    public static VirtioNetDriver Open(IPciFunctionAccess access, VirtioDriverOptions? options = null, NetDriverOptions? net = null)
    {
        options ??= new VirtioDriverOptions();
        net ??= new NetDriverOptions();
        foreach (int size in (ReadOnlySpan<int>)[net.BufferSize, net.ReceiveBufferSize ?? net.BufferSize])
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(size, 64, nameof(net));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(size, 65_562, nameof(net));
            ArgumentOutOfRangeException.ThrowIfGreaterThan((long)size * net.QueueSize, int.MaxValue, nameof(net));
        }

        // What needs the control queue goes with it.
        ulong wanted = options.WantedFeatures | Wanted;
        wanted &= (options.RefusedFeatures & NetFeatures.ControlQueue) != 0
            ? ~(NetFeatures.ControlReceiveMode | NetFeatures.ControlMacAddress)
            : ulong.MaxValue;
        var driver = VirtioPciDriver.Open(access, options with { DeviceType = VirtioDeviceType.Net, WantedFeatures = wanted });
        try
        {
            List<DriverQueueOptions> queues = [new(0) { MaximumSize = net.QueueSize }, new(1) { MaximumSize = net.QueueSize }];
            if ((driver.Features & NetFeatures.ControlQueue) != 0)
            {
                // Behind all pairs (5.1.2).
                bool several = (driver.Features & NetFeatures.MultiQueue) != 0;
                int pairs = several ? (int)driver.ReadDeviceConfiguration(static field => field(8, 2)) : 1;
                if (pairs is < 1 or > MostPairs)
                {
                    throw new DriverException("device configuration", $"max_virtqueue_pairs is {pairs}");
                }

                queues.Add(new DriverQueueOptions(pairs * 2) { MaximumSize = Math.Max(net.QueueSize, 2), MinimumSize = 2 });
            }

            driver.Start(queues);
            return new VirtioNetDriver(driver, net);
        }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    /// <summary>Sends a frame; returns when the device has been told of it. Waits if all buffers are on their way.</summary>
    /// <param name="frame">From the destination address on, without checksum.</param>
    /// <exception cref="ArgumentException">The frame is empty or longer than a buffer.</exception>
    /// <exception cref="DriverException">The device returns no buffer.</exception>
    public void Transmit(ReadOnlySpan<byte> frame)
    {
        if (frame.IsEmpty || frame.Length > _bufferSize - HeaderLength)
        {
            throw new ArgumentException($"a frame has 1 to {_bufferSize - HeaderLength} bytes, not {frame.Length}", nameof(frame));
        }

        while (_transmit.TryComplete(out int done, out _))
        {
            _transmit.Return(done);
        }

        if (!_transmit.TryTake(out int slot))
        {
            slot = _transmit.Wait(out _);
        }

        Span<byte> memory = _transmit.MemoryOf(slot);
        memory[..HeaderLength].Clear();
        frame.CopyTo(memory[HeaderLength..]);
        if (!_transmit.TrySubmit(slot, [new DriverSegment(_transmit.IovaOf(slot), (uint)(HeaderLength + frame.Length), false)]))
        {
            throw new DriverException("transmit", "there are fewer descriptors than buffers");
        }

        _transmit.Queue.Notify();
    }

    /// <summary>Waits until the device has returned the buffers of all frames that were sent.</summary>
    /// <exception cref="DriverException">The device does not return them in time.</exception>
    public void WaitTransmitted()
    {
        while (_transmit.Outstanding > 0)
        {
            _transmit.Return(_transmit.Wait(out _));
        }
    }

    /// <summary>Receives a frame.</summary>
    /// <param name="frame">Room for it, from the destination address on; what does not fit is lost.</param>
    /// <param name="timeout">How long to wait; zero to look only.</param>
    /// <param name="length">Bytes of the whole frame.</param>
    /// <returns>False if none came in time.</returns>
    /// <exception cref="DriverException">The device says what cannot be.</exception>
    public bool TryReceive(Span<byte> frame, TimeSpan timeout, out int length)
    {
        length = 0;
        if (!_receive.TryWait(timeout, out int slot, out uint written))
        {
            return false;
        }

        if (written < HeaderLength)
        {
            Post(slot);
            throw new DriverException("receive", $"{written} bytes are less than a header");
        }

        ReadOnlySpan<byte> memory = _receive.MemoryOf(slot);
        int buffers = MergesBuffers ? BinaryPrimitives.ReadUInt16LittleEndian(memory[BufferCountOffset..]) : 1;
        if (buffers < 1 || buffers > _receive.Count)
        {
            Post(slot);
            throw new DriverException("receive", $"a frame in {buffers} buffers, of which there are {_receive.Count}");
        }

        Append(memory[HeaderLength..(int)written], frame, ref length);
        Post(slot);
        for (int i = 1; i < buffers; i++)
        {
            // The device has used all of them together (5.1.6.4).
            if (!_receive.TryComplete(out slot, out written))
            {
                throw new DriverException("receive", $"{i} of {buffers} buffers of a frame were used");
            }

            Append(_receive.MemoryOf(slot)[..(int)written], frame, ref length);
            Post(slot);
        }

        _receive.Queue.Notify();
        return true;
    }

    /// <summary>Gives a command on the control queue and waits for its answer (5.1.6.5).</summary>
    /// <param name="category">The class.</param>
    /// <param name="command">The command.</param>
    /// <param name="data">What goes with it, at most 4096 bytes.</param>
    /// <returns>True for VIRTIO_NET_OK, false for VIRTIO_NET_ERR.</returns>
    /// <exception cref="NotSupportedException">There is no control queue.</exception>
    /// <exception cref="DriverException">The device does not answer, or with something else.</exception>
    public bool Control(byte category, byte command, ReadOnlySpan<byte> data)
    {
        if (_control is null)
        {
            throw new NotSupportedException("the control queue was not negotiated");
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(data.Length, MostControlData);
        if (!_control.TryTake(out int slot))
        {
            throw new DriverException("control", "an earlier command is unanswered");
        }

        Span<byte> memory = _control.MemoryOf(slot);
        (memory[0], memory[1]) = (category, command);
        data.CopyTo(memory[2..]);
        int answer = 2 + data.Length;
        memory[answer] = NoAnswer;
        ulong at = _control.IovaOf(slot);
        if (!_control.TrySubmit(slot, [new DriverSegment(at, (uint)answer, false), new DriverSegment(at + (uint)answer, 1, true)]))
        {
            throw new DriverException("control", $"the control queue has only {_control.Queue.FreeDescriptors} descriptors");
        }

        _control.Queue.Notify();
        _control.Return(_control.Wait(out _));
        return _control.MemoryOf(slot)[answer] switch
        {
            0 => true,
            1 => false,
            byte other => throw new DriverException("control", $"command {category}.{command} was answered with {other}"),
        };
    }

    /// <summary>Sets the address that frames are received for, as VIRTIO_NET_CTRL_MAC_ADDR_SET does.</summary>
    /// <param name="address">The address.</param>
    /// <returns>False if the device refuses it.</returns>
    public bool TrySetMac(MacAddress address)
    {
        Span<byte> bytes = stackalloc byte[MacAddress.Size];
        address.CopyTo(bytes);
        return Control(1, 1, bytes);
    }

    /// <summary>Has every frame received, or not, as VIRTIO_NET_CTRL_RX_PROMISC does.</summary>
    /// <param name="on">Whether every frame.</param>
    /// <returns>False if the device refuses it.</returns>
    public bool TrySetPromiscuous(bool on) => Control(0, 0, [on ? (byte)1 : (byte)0]);

    /// <inheritdoc/>
    public void Dispose() => Driver.Dispose();

    private static void Append(ReadOnlySpan<byte> piece, Span<byte> frame, ref int length)
    {
        Span<byte> room = frame[Math.Min(length, frame.Length)..];
        piece[..Math.Min(piece.Length, room.Length)].CopyTo(room);
        length += piece.Length;
    }

    private void Post(int slot)
    {
        if (!_receive.TrySubmit(slot, [new DriverSegment(_receive.IovaOf(slot), (uint)_receiveBufferSize, true)]))
        {
            throw new DriverException("receive", "there are fewer descriptors than buffers");
        }
    }
}
