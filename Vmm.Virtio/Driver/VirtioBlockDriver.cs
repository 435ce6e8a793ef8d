using System;
using System.Buffers.Binary;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Driver;

/// <summary>A block device as a driver uses it (virtio 1.2, 5.2): one request at a time on the first queue.</summary>
/// <remarks>One thread at a time.</remarks>
public sealed class VirtioBlockDriver : IDisposable
{
    /// <summary>Bytes of a sector.</summary>
    public const int SectorSize = 512;

    private const int MaximumTransfer = 64 * 1024;
    private const int HeaderLength = 16;
    private const byte NoStatus = 0xff;

    private readonly IDmaBuffer _buffer;

    private VirtioBlockDriver(VirtioPciDriver driver)
    {
        Driver = driver;
        _buffer = driver.MapBuffer(HeaderLength + MaximumTransfer + 1);
        Capacity = driver.ReadDeviceConfiguration(static field => field(0, 8));
    }

    /// <summary>The driver underneath.</summary>
    public VirtioPciDriver Driver { get; }

    /// <summary>Sectors of the disk when it was opened.</summary>
    public ulong Capacity { get; }

    /// <summary>Initialises and starts a block device.</summary>
    /// <param name="access">The function.</param>
    /// <param name="options">What to ask for; flushing is taken in any case.</param>
    /// <param name="queues">Queues to set up.</param>
    /// <exception cref="DriverException">The device cannot be driven.</exception>
    public static VirtioBlockDriver Open(IPciFunctionAccess access, VirtioDriverOptions? options = null, int queues = 1)
    {
        options ??= new VirtioDriverOptions();
        ulong wanted = options.WantedFeatures | BlockFeatures.Flush | (queues > 1 ? BlockFeatures.MultiQueue : 0);
        var driver = VirtioPciDriver.Open(access, options with { WantedFeatures = wanted });
        try
        {
            var disk = new VirtioBlockDriver(driver);
            driver.Start(queues);
            return disk;
        }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    /// <summary>Reads sectors.</summary>
    /// <param name="sector">The first.</param>
    /// <param name="destination">A multiple of <see cref="SectorSize"/> bytes.</param>
    /// <param name="queue">Queue to use.</param>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void Read(ulong sector, Span<byte> destination, int queue = 0)
    {
        RequireSectors(destination.Length);
        while (!destination.IsEmpty)
        {
            int length = Math.Min(destination.Length, MaximumTransfer);
            Request(0, sector, length, deviceWrites: true, queue);
            _buffer.Span.Slice(HeaderLength, length).CopyTo(destination);
            destination = destination[length..];
            sector += (uint)(length / SectorSize);
        }
    }

    /// <summary>Writes sectors.</summary>
    /// <param name="sector">The first.</param>
    /// <param name="source">A multiple of <see cref="SectorSize"/> bytes.</param>
    /// <param name="queue">Queue to use.</param>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void Write(ulong sector, ReadOnlySpan<byte> source, int queue = 0)
    {
        RequireSectors(source.Length);
        while (!source.IsEmpty)
        {
            int length = Math.Min(source.Length, MaximumTransfer);
            source[..length].CopyTo(_buffer.Span[HeaderLength..]);
            Request(1, sector, length, deviceWrites: false, queue);
            source = source[length..];
            sector += (uint)(length / SectorSize);
        }
    }

    /// <summary>Makes what was written durable; does nothing for a device that writes through.</summary>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void Flush()
    {
        if ((Driver.Features & BlockFeatures.Flush) != 0)
        {
            Request(4, 0, 0, deviceWrites: false, 0);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Driver.Dispose();

    private static void RequireSectors(int length)
    {
        if (length % SectorSize != 0)
        {
            throw new ArgumentException($"{length} bytes are not whole sectors");
        }
    }

    private void Request(uint type, ulong sector, int length, bool deviceWrites, int queueIndex)
    {
        Span<byte> memory = _buffer.Span;
        BinaryPrimitives.WriteUInt32LittleEndian(memory, type);
        BinaryPrimitives.WriteUInt32LittleEndian(memory[4..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(memory[8..], sector);
        memory[HeaderLength + MaximumTransfer] = NoStatus;
        var header = new DriverSegment(_buffer.Iova, HeaderLength, false);
        var data = new DriverSegment(_buffer.Iova + HeaderLength, (uint)length, deviceWrites);
        var status = new DriverSegment(_buffer.Iova + HeaderLength + MaximumTransfer, 1, true);
        DriverQueue queue = Driver.Queues[queueIndex];
        ReadOnlySpan<DriverSegment> segments = length == 0 ? [header, status] : [header, data, status];
        if (queue.TrySubmit(segments) is null)
        {
            throw new DriverException("request", $"queue {queueIndex} has only {queue.FreeDescriptors} descriptors");
        }

        queue.Notify();
        _ = queue.WaitComplete(out _);
        byte result = _buffer.Span[HeaderLength + MaximumTransfer];
        if (result != 0)
        {
            throw new DriverException("request", $"type {type} at sector {sector} ended with status {result}");
        }
    }
}
