using System;
using System.Collections.Generic;
using System.Globalization;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance.Rings;

/// <summary>A device that runs with one queue in the form that a check wants, and requests that it can be asked to serve.</summary>
internal sealed class RingFixture
{
    private const int Stride = 1024;
    private const int MostSlots = 256;

    private readonly CheckContext _check;
    private readonly RecordingAccess _access;
    private readonly IDmaBuffer _memory;
    private readonly Stack<int> _free = new();
    private readonly int[] _slotOf;
    private readonly QueueWork _work;

    private RingFixture(CheckContext check, RecordingAccess access, VirtioPciDriver driver)
    {
        (_check, _access, Driver, Queue) = (check, access, driver, driver.Queues[0]);
        _work = check.Work;
        int slots = Math.Min(Queue.Size, MostSlots);
        _memory = driver.MapBuffer(slots * Stride);
        _slotOf = new int[Queue.Size];
        for (int i = slots - 1; i >= 0; i--)
        {
            _free.Push(i);
        }
    }

    /// <summary>The driver.</summary>
    public VirtioPciDriver Driver { get; }

    /// <summary>The queue.</summary>
    public DriverQueue Queue { get; private set; }

    /// <summary>Requests that were made.</summary>
    public int Asked { get; private set; }

    /// <summary>Requests that were completed.</summary>
    public int Done { get; private set; }

    /// <summary>Token of the request that was made last.</summary>
    public int LastToken { get; private set; }

    /// <summary>How a request is cut into pieces; by default in the usual way.</summary>
    public Func<IReadOnlyList<DriverSegment>, DriverSegment[]> Cut { get; set; } = static pieces => [.. pieces];

    /// <summary>Descriptors of a request.</summary>
    public int RequestLength => Pieces(0).Count;

    /// <summary>The descriptor area.</summary>
    public Span<byte> DescriptorArea => Area(static common => common.QueueDescriptors);

    /// <summary>The driver area.</summary>
    public Span<byte> DriverArea => Area(static common => common.QueueDriver);

    /// <summary>The device area.</summary>
    public Span<byte> DeviceArea => Area(static common => common.QueueDevice);

    /// <summary>Starts a device.</summary>
    /// <param name="check">The check.</param>
    /// <param name="features">Features to negotiate; the check skips if one is not offered.</param>
    /// <param name="size">Most descriptors.</param>
    /// <param name="completion">How completions are to arrive.</param>
    public static RingFixture Start(CheckContext check, ulong features, int size = 64, CompletionMode completion = CompletionMode.Polling)
    {
        var access = new RecordingAccess(check.Access);
        ulong offered = new CommonConfigurationAccess(access, check.Structures.Common).ReadDeviceFeatures();
        for (int bit = 0; bit < 64; bit++)
        {
            if ((features & ~offered & (1UL << bit)) != 0)
            {
                check.Skip($"{FeatureNames.Of(bit)} is not offered");
            }
        }

        var options = new VirtioDriverOptions { RequiredFeatures = features, Completion = completion, Timeout = check.Limits.Reply };
        var driver = VirtioPciDriver.Open(access, options);
        driver.Start([new DriverQueueOptions(check.Work.Queue) { MaximumSize = size }]);
        return new RingFixture(check, access, driver);
    }

    /// <summary>The queue was enabled anew; what was outstanding is gone.</summary>
    public void Replace(DriverQueue queue)
    {
        Queue = queue;
        _free.Clear();
        for (int i = Math.Min(queue.Size, Math.Min(_slotOf.Length, MostSlots)) - 1; i >= 0; i--)
        {
            _free.Push(i);
        }

        (Asked, Done) = (0, 0);
    }

    /// <summary>Makes a request available, without telling the device.</summary>
    /// <param name="indirect">In that form; by default as the driver does it.</param>
    /// <returns>False if the queue is full.</returns>
    public bool TryAsk(bool? indirect = null)
    {
        if (!_free.TryPeek(out int slot))
        {
            return false;
        }

        _work.Prepare(_memory.Span[(slot * Stride)..]);
        DriverSegment[] segments = Cut(Pieces(slot));
        if ((indirect is { } form ? Queue.TrySubmit(segments, form) : Queue.TrySubmit(segments)) is not { } token)
        {
            return false;
        }

        _free.Pop();
        _slotOf[token] = slot;
        LastToken = token;
        Asked++;
        return true;
    }

    /// <summary>Makes a request available; there is room for it.</summary>
    public void Ask()
    {
        if (!TryAsk())
        {
            _check.Skip("the queue has no room for another request");
        }
    }

    /// <summary>Takes what has completed.</summary>
    /// <returns>False if nothing has.</returns>
    public bool TryTake() => Take(TimeSpan.Zero);

    /// <summary>Waits until every request has completed.</summary>
    public void AwaitDone()
    {
        while (Done < Asked)
        {
            if (!Take(_check.Limits.Reply))
            {
                _check.Fail(
                    "every buffer that was made available used",
                    string.Create(CultureInfo.InvariantCulture, $"{Done} of {Asked} after {_check.Limits.Reply.TotalSeconds} s"));
            }
        }
    }

    /// <summary>Makes a request, tells the device, waits for it.</summary>
    public void Do()
    {
        Ask();
        Queue.Notify();
        AwaitDone();
    }

    /// <summary>Makes many requests, with some outstanding at a time, and tells the device when it asked for that.</summary>
    /// <param name="count">How many.</param>
    /// <param name="outstanding">How many at a time.</param>
    /// <param name="mayBeSlow">Skip the check, and do not fail, if its time does not suffice.</param>
    public void DoMany(int count, int outstanding, bool mayBeSlow = false)
    {
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        int end = Done + count;
        while (Done < end)
        {
            while (Asked < end && Asked - Done < outstanding && TryAsk())
            {
            }

            Queue.Notify();
            if (!Take(_check.Limits.Reply))
            {
                AwaitDone();
            }

            while (TryTake())
            {
            }

            if (mayBeSlow && System.Diagnostics.Stopwatch.GetElapsedTime(start) > _check.Limits.Check * 0.8)
            {
                _check.Skip(
                    string.Create(CultureInfo.InvariantCulture, $"the device is too slow: {Done} of {count} requests in the time of a check"));
            }
        }
    }

    /// <summary>What memory holds.</summary>
    public byte[] Copy(DriverSegment place) => _access.MemoryAt(place.Iova)[..(int)place.Length].ToArray();

    /// <summary>Fills memory.</summary>
    public void Fill(DriverSegment place, byte value) => _access.MemoryAt(place.Iova)[..(int)place.Length].Fill(value);

    private bool Take(TimeSpan patience)
    {
        int token;
        uint length;
        try
        {
            if (patience == TimeSpan.Zero ? !Queue.TryComplete(out token, out length) : !Queue.TryWaitComplete(patience, out token, out length))
            {
                return false;
            }
        }
        catch (DriverException lie)
        {
            _check.Fail("used elements that name outstanding buffers, and no more bytes than they have room for", lie.Message);
            return false;
        }

        _check.NoteUsed(Queue.Index);
        _work.Judge(_check, _memory.Span[(_slotOf[token] * Stride)..], length);
        _free.Push(_slotOf[token]);
        Done++;
        return true;
    }

    private List<DriverSegment> Pieces(int slot) => _work.Pieces(_memory.Iova + ((ulong)slot * Stride), Queue.Size);

    private Span<byte> Area(Func<CommonConfigurationAccess, ulong> address)
    {
        Driver.Common.QueueSelect = (ushort)Queue.Index;
        return _access.MemoryAt(address(Driver.Common));
    }
}
