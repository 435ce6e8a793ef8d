using System;
using System.Text;
using System.Threading.Tasks;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Samples.Tests;

/// <summary>A virtio device that takes its time: text in, the same in upper case out, when what it waits for has come.</summary>
internal sealed class UpperCaseDevice(VirtioDeviceOptions options, Func<Task> wait) : WorkerDevice(options, queueCount: 1)
{
    public override VirtioDeviceType DeviceType => (VirtioDeviceType)63;

    public override ulong OfferedFeatures => OfferedRingFeatures;

    protected override QueueHandler CreateHandler(int index, Virtqueue queue) => new Handler(queue, wait);

    private sealed class Handler(Virtqueue queue, Func<Task> wait) : RequestHandler(queue)
    {
        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            if (chain.ReadableLength is 0 or > Request.Longest || chain.WritableLength < chain.ReadableLength)
            {
                return RequestOutcome.Done;
            }

            var request = (Request)(chain.State ??= new Request());
            request.Length = chain.Readable.CopyTo(request.Text);
            return RequestOutcome.Pending;
        }

        protected override void Submit(DescriptorChain chain) => _ = AnswerAsync(chain, (Request)chain.State!);

        protected override RequestOutcome Finish(DescriptorChain chain, ref uint written)
        {
            var request = (Request)chain.State!;
            chain.Writable.CopyFrom(request.Text.AsSpan(0, request.Length));
            return RequestOutcome.Done;
        }

        private async Task AnswerAsync(DescriptorChain chain, Request request)
        {
            await wait().ConfigureAwait(false);
            Ascii.ToUpperInPlace(request.Text.AsSpan(0, request.Length), out _);
            Complete(chain, (uint)request.Length);
        }
    }

    private sealed class Request
    {
        public const int Longest = 4096;

        public readonly byte[] Text = new byte[Longest];
        public int Length;
    }
}
