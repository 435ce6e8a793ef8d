using System;
using System.IO;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Interop;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>The entropy device (virtio 1.2, 5.4): random bytes from a file of the host.</summary>
/// <remarks>
/// A request gets at most 64 KiB, which the specification allows, and at least one byte. A source that has nothing now is waited for; one that
/// has ended needs a reset, because bytes must not be repeated or made up.
/// </remarks>
public sealed class EntropyDevice : WorkerDevice
{
    private readonly FileDescriptor _source;

    /// <summary>Opens the source.</summary>
    /// <param name="options">Source and names.</param>
    /// <exception cref="BackendException">The source cannot be opened.</exception>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public EntropyDevice(EntropyDeviceOptions? options = null)
        : base(options ??= new EntropyDeviceOptions(), queueCount: 1)
    {
        if (Directory.Exists(options.Source))
        {
            throw new BackendException("open", options.Source, 0, "is a directory; a source of entropy is a file or a device");
        }

        int error = DescriptorIo.Open(options.Source, Libc.O_RDONLY | Libc.O_NONBLOCK, out _source);
        if (error != 0)
        {
            throw new BackendException("open", options.Source, error, "cannot be opened as a source of entropy");
        }
    }

    /// <inheritdoc/>
    public override VirtioDeviceType DeviceType => VirtioDeviceType.Entropy;

    /// <inheritdoc/>
    public override ulong OfferedFeatures => OfferedRingFeatures;

    /// <inheritdoc/>
    protected override QueueHandler CreateHandler(int index, Virtqueue queue)
    {
        return new Handler(_source, queue);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            _source.Dispose();
        }
    }

    private sealed class Handler : RequestHandler
    {
        private const int Portion = 1 << 16;

        private readonly FileDescriptor _source;
        private IWatch? _sourceWatch;

        public Handler(FileDescriptor source, Virtqueue queue)
            : base(queue)
        {
            _source = source;
        }

        protected override void OnStart() => _sourceWatch = null;

        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            if (chain.WritableLength == 0)
            {
                Queue.MarkBroken("an entropy request without room");
                return RequestOutcome.Done;
            }

            int error = VectorIo.Receive(_source, chain.Writable.Slice(0, Math.Min(Portion, chain.WritableLength)), out int received);
            if (error == Errno.EAGAIN)
            {
                WaitForSource();
                return RequestOutcome.Later;
            }

            if (error != 0 || received == 0)
            {
                Queue.MarkBroken(error != 0 ? $"the source of entropy failed with error number {error}" : "the source of entropy has ended");
                return RequestOutcome.Done;
            }

            if (_sourceWatch is not null)
            {
                _sourceWatch.Enabled = false;
            }

            written = (uint)received;
            return RequestOutcome.Done;
        }

        private void WaitForSource()
        {
            // Only what can be waited for says that it has nothing yet.
            _sourceWatch ??= WatchReadable(_source.Number, OnReadable);
            _sourceWatch.Enabled = true;
        }

        private void OnReadable()
        {
            // Off until a request waits again: the queue may have none to give the bytes to, and the source stays readable then.
            _sourceWatch!.Enabled = false;
            Run();
        }
    }
}
