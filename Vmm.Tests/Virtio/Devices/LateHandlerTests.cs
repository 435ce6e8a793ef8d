using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A handler that comes back when its queue is not there any more: it leaves nothing behind and breaks nothing (CON-3, CON-8).</summary>
[Trait("Behaviour", "CON-3")]
public sealed class LateHandlerTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Fact]
    public void A_wait_between_parts_leaves_no_request_in_flight_that_had_ended_before()
    {
        using var waiting = new SemaphoreSlim(0);
        using var gate = new SemaphoreSlim(0);
        ScriptedHandler? made = null;
        DescriptorChain? pending = null;
        var device = new HandlerDevice(NullLogger.Instance, queue => made = new ScriptedHandler(queue)
        {
            // The first takes its time, the second is done in parts without end.
            OnHandle = number => number == 0 ? RequestOutcome.Pending : RequestOutcome.Continue,
            OnSubmit = chain => Volatile.Write(ref pending, chain),
            OnFinish = static () => RequestOutcome.Continue,
            OnWait = () =>
            {
                waiting.Release();
                gate.Wait(Long);
                return true;
            },
        });
        using VirtioDeviceRig rig = new VirtioDeviceRig(device).Start();
        Add(rig);
        rig.Kick();
        Eventually.Holds(() => Volatile.Read(ref pending) is not null, "the first is submitted");
        Add(rig);
        rig.Kick();
        waiting.Wait(Long).Should().BeTrue();
        made!.End(pending!);
        gate.Release();

        // Perhaps it waits again now, with the first one ended and not answered.
        _ = waiting.Wait(TimeSpan.FromMilliseconds(200));
        device.Reset();
        gate.Release();

        Eventually.Holds(() => made!.InFlight == 0, "nothing is left in flight");
    }

    [Fact]
    [Trait("Behaviour", "CON-8")]
    public void A_handler_that_throws_after_its_queue_was_reset_does_not_break_the_one_that_has_its_place()
    {
        using var entered = new ManualResetEventSlim();
        using var gate = new ManualResetEventSlim();
        int queues = 0;
        var log = new ListLogger();
        var device = new HandlerDevice(log, queue => Interlocked.Increment(ref queues) > 1
            ? new ScriptedHandler(queue)
            : new ScriptedHandler(queue)
            {
                OnHandle = _ =>
                {
                    entered.Set();
                    gate.Wait(Long);
                    throw new InvalidOperationException("late");
                },
            });
        using VirtioFunctionRig rig = new VirtioFunctionRig(device).Start();
        rig.Drivers[0].Add(GuestBuffer.Writable(rig.Ram.Allocate(8), 8));
        rig.Kick();
        entered.Wait(Long).Should().BeTrue();

        rig.Common.QueueSelect = 0;
        rig.Common.QueueReset = 1;
        rig.SetUpQueue(0, vector: 1);
        gate.Set();
        Eventually.Holds(() => log.Exceptions.Count == 1, "its exception is not lost");

        log.Exceptions[0].Message.Should().Be("late");
        rig.Common.DeviceStatus.Should().NotHaveFlag(DeviceStatus.NeedsReset);
        rig.Request(0, GuestBuffer.Writable(rig.Ram.Allocate(8), 8)).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "CON-8")]
    public void A_log_that_throws_does_no_harm_to_the_worker_that_logs()
    {
        var options = new BlockDeviceOptions { Logger = new ThrowingLogger() };
        FluentActions.Invoking(() => options.Logger.LogError("a line")).Should().NotThrow();
    }

    private static void Add(VirtioDeviceRig rig) => rig.Drivers[0].Add(GuestBuffer.Writable(rig.Ram.Allocate(8), 8));

    private sealed class HandlerDevice(ILogger log, Func<Virtqueue, RequestHandler> create)
        : WorkerDevice(new BlockDeviceOptions { StopLimit = TimeSpan.FromMilliseconds(10), Logger = log }, queueCount: 1)
    {
        public override VirtioDeviceType DeviceType => (VirtioDeviceType)63;

        public override ulong OfferedFeatures => OfferedRingFeatures;

        protected override QueueHandler CreateHandler(int index, Virtqueue queue) => create(queue);
    }

    private sealed class ScriptedHandler(Virtqueue queue) : RequestHandler(queue)
    {
        private int _handled;

        public Func<int, RequestOutcome> OnHandle { get; init; } = static _ => RequestOutcome.Done;

        public Action<DescriptorChain> OnSubmit { get; init; } = static _ => { };

        public Func<RequestOutcome> OnFinish { get; init; } = static () => RequestOutcome.Done;

        public Func<bool> OnWait { get; init; } = static () => false;

        public void End(DescriptorChain chain) => Complete(chain, 0);

        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            return OnHandle(_handled++);
        }

        protected override void Submit(DescriptorChain chain) => OnSubmit(chain);

        protected override RequestOutcome Finish(DescriptorChain chain, ref uint written) => OnFinish();

        protected override bool WaitBetweenParts() => OnWait();
    }
}
