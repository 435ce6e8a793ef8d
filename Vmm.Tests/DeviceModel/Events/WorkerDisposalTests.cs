using System;
using System.Collections.Concurrent;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;

namespace Vmm.Tests.DeviceModel.Events;

/// <summary>When a watch is gone, it is gone.</summary>
public sealed class WorkerDisposalTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Disposing_from_another_thread_waits_for_the_running_callback()
    {
        using var fd = new EventFd();
        using var worker = new Worker("test");
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        var order = new ConcurrentQueue<string>();
        IDisposable watch = worker.Watch(fd, () =>
        {
            inside.Set();
            leave.Wait(Limit);
            order.Enqueue("callback");
        });
        worker.Start();
        fd.Signal();
        inside.Wait(Limit).Should().BeTrue();
        fd.Signal();
        using var started = new CountdownEvent(2);
        Task[] disposers =
        [
            Task.Run(() => DisposeAndNote()),
            Task.Run(() => DisposeAndNote()),
        ];
        started.Wait(Limit).Should().BeTrue();
        order.Should().BeEmpty();
        leave.Set();
        await Task.WhenAll(disposers).WaitAsync(Limit);
        order.Should().Equal("callback", "disposed", "disposed");

        void DisposeAndNote()
        {
            started.Signal();
            watch.Dispose();
            order.Enqueue("disposed");
        }
    }

    [Fact]
    public async Task Disposing_does_not_wait_for_the_callback_of_another_watch()
    {
        using var busy = new EventFd();
        using var idle = new EventFd();
        using var worker = new Worker("test");
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        using IDisposable first = worker.Watch(busy, () =>
        {
            inside.Set();
            leave.Wait(Limit);
        });
        IDisposable second = worker.Watch(idle, () => { });
        worker.Start();
        busy.Signal();
        inside.Wait(Limit).Should().BeTrue();
        await Task.Run(second.Dispose).WaitAsync(Limit);
        leave.IsSet.Should().BeFalse();
        leave.Set();
    }

    [Fact]
    public async Task A_watch_is_switched_while_its_callback_runs()
    {
        using var fd = new EventFd();
        using var worker = new Worker("test");
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        using IWatch watch = worker.WatchReadable(fd.Descriptor, () =>
        {
            fd.TryConsume(out _);
            inside.Set();
            leave.Wait(Limit);
        });
        worker.Start();
        fd.Signal();
        inside.Wait(Limit).Should().BeTrue();
        await Task.Run(() => watch.Enabled = false).WaitAsync(Limit);
        leave.Set();
    }

    [Fact]
    public async Task A_callback_disposes_its_own_watch_and_others_that_are_ready_too()
    {
        using var worker = new Worker("test");
        var fds = new EventFd[4];
        var watches = new IDisposable[fds.Length];
        int runs = 0;
        using var ran = new ManualResetEventSlim();
        for (int i = 0; i < fds.Length; i++)
        {
            fds[i] = new EventFd();
            watches[i] = worker.Watch(fds[i], () =>
            {
                // All four are in one report of the kernel; the first takes the others away.
                runs++;
                Array.ForEach(watches, watch => watch.Dispose());
                ran.Set();
            });
            fds[i].Signal();
        }

        worker.Start();
        ran.Wait(Limit).Should().BeTrue();
        await Task.Run(worker.Stop).WaitAsync(Limit);
        runs.Should().Be(1);
        Array.ForEach(fds, fd => fd.Dispose());
    }

    [Fact]
    public async Task A_place_in_the_table_is_used_again_without_mixing_up_watches()
    {
        using var worker = new Worker("test");
        using var first = new EventFd();
        using var second = new EventFd();
        int wrong = 0;
        using var right = new ManualResetEventSlim();
        IDisposable? replacement = null;
        IDisposable victim = null!;
        using var trigger = new EventFd();
        using IDisposable cause = worker.Watch(trigger, () =>
        {
            victim.Dispose();
            replacement = worker.Watch(second, right.Set);
        });
        victim = worker.Watch(first, () => wrong++);
        trigger.Signal();
        first.Signal();
        worker.Start();
        second.Signal();
        right.Wait(Limit).Should().BeTrue();
        await Task.Run(worker.Stop).WaitAsync(Limit);
        (wrong <= 1).Should().BeTrue("the victim may have come first in the report");
        replacement!.Dispose();
    }

    [Fact]
    public void Watches_are_disposed_after_their_worker()
    {
        using var fd = new EventFd();
        var worker = new Worker("test");
        IWatch watch = worker.WatchReadable(fd.Descriptor, () => { });
        worker.Dispose();
        watch.Invoking(w => w.Enabled = false).Should().NotThrow();
        watch.Invoking(w => w.Dispose()).Should().NotThrow();
        worker.Invoking(w => w.Watch(fd, () => { })).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public async Task A_worker_whose_thread_cannot_be_made_says_so_and_can_be_stopped()
    {
        using var worker = new Worker("test", null, static _ => throw new InsufficientMemoryException());

        worker.Invoking(w => w.Start()).Should().Throw<HostException>().WithMessage("*'test'*pids.max*");

        await Task.Run(worker.Stop).WaitAsync(Limit);
        await Task.Run(worker.Dispose).WaitAsync(Limit);
    }

    [Fact]
    public async Task After_each_of_many_disposals_under_load_the_callback_never_runs()
    {
        using var fd = new EventFd();
        using var worker = new Worker("test");
        worker.Start();
        int late = 0;
        for (int i = 0; i < 2000; i++)
        {
            bool disposed = false;
            IDisposable watch = worker.Watch(fd, () =>
            {
                if (Volatile.Read(ref disposed))
                {
                    Interlocked.Increment(ref late);
                }
            });
            fd.Signal();
            watch.Dispose();
            Volatile.Write(ref disposed, true);
            fd.Signal();
        }

        await Task.Run(worker.Stop).WaitAsync(Limit);
        late.Should().Be(0);
    }
}
