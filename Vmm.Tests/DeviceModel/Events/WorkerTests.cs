using System;
using System.Collections.Concurrent;
using System.IO.Pipes;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;

namespace Vmm.Tests.DeviceModel.Events;

public sealed class WorkerTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Fact]
    public void A_signal_runs_the_callback_on_the_workers_thread_after_consuming()
    {
        using var fd = new EventFd();
        using var worker = new Worker("test");
        var seen = new BlockingCollection<(bool Own, bool Consumed, string? Name)>();
        using IDisposable watch = worker.Watch(fd, () => seen.Add((worker.IsCurrent, !fd.TryConsume(out _), Thread.CurrentThread.Name)));
        fd.Signal();
        worker.Start();
        seen.TryTake(out (bool Own, bool Consumed, string? Name) call, Limit).Should().BeTrue("a signal from before the start counts");
        call.Should().Be((true, true, "test"));
        fd.Signal();
        seen.TryTake(out _, Limit).Should().BeTrue();
        worker.IsCurrent.Should().BeFalse();
    }

    [Fact]
    public void Watches_are_added_and_used_while_the_worker_runs()
    {
        using var worker = new Worker("test");
        worker.Start();
        var order = new BlockingCollection<int>();
        var fds = new EventFd[40];
        var watches = new IDisposable[fds.Length];
        for (int i = 0; i < fds.Length; i++)
        {
            int number = i;
            fds[i] = new EventFd();
            watches[i] = worker.Watch(fds[i], () => order.Add(number));
        }

        for (int i = fds.Length - 1; i >= 0; i--)
        {
            fds[i].Signal();
            order.TryTake(out int number, Limit).Should().BeTrue();
            number.Should().Be(i);
            watches[i].Dispose();
            fds[i].Dispose();
        }
    }

    [Fact]
    public void Posted_actions_run_in_order_also_those_from_before_the_start()
    {
        using var worker = new Worker("test");
        var order = new BlockingCollection<int>();
        worker.Post(() => order.Add(1));
        worker.Post(() =>
        {
            order.Add(2);
            worker.Post(() => order.Add(4));
            order.Add(3);
        });
        order.Should().BeEmpty();
        worker.Start();
        for (int i = 1; i <= 4; i++)
        {
            order.TryTake(out int number, Limit).Should().BeTrue();
            number.Should().Be(i);
        }
    }

    [Fact]
    public async Task An_action_that_posts_itself_does_not_starve_a_watch_or_the_stop()
    {
        using var fd = new EventFd();
        using var worker = new Worker("test");
        using var ran = new ManualResetEventSlim();
        using IDisposable watch = worker.Watch(fd, ran.Set);
        void Again() => worker.Post(Again);
        worker.Post(Again);
        worker.Start();
        fd.Signal();
        ran.Wait(Limit).Should().BeTrue();
        await Task.Run(worker.Stop).WaitAsync(Limit);
    }

    [Fact]
    public void Stop_is_idempotent_and_nothing_runs_after_it()
    {
        using var fd = new EventFd();
        var worker = new Worker("test");
        int runs = 0;
        using IDisposable watch = worker.Watch(fd, () => runs++);
        worker.Start();
        worker.Stop();
        worker.Stop();
        fd.Signal();
        worker.Post(() => runs++);
        worker.Dispose();
        worker.Dispose();
        runs.Should().Be(0);
        fd.TryConsume(out _).Should().BeTrue("a late signal stays for whoever takes over");
    }

    [Fact]
    public void Stop_before_the_start_returns_and_forbids_the_start()
    {
        using var worker = new Worker("test");
        worker.Stop();
        worker.Invoking(w => w.Start()).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_worker_starts_once()
    {
        using var worker = new Worker("test");
        worker.Start();
        worker.Invoking(w => w.Start()).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public async Task Stopping_from_a_callback_is_a_mistake_of_the_caller()
    {
        using var worker = new Worker("test");
        var failure = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
        worker.Faulted += failure.SetResult;
        worker.Post(worker.Stop);
        worker.Start();
        (await failure.Task.WaitAsync(Limit)).Should().BeOfType<InvalidOperationException>();
    }

    [Fact]
    public async Task An_exception_ends_the_worker_raises_Faulted_once_and_kills_nobody()
    {
        using var fd = new EventFd();
        var worker = new Worker("test");
        var faults = new BlockingCollection<Exception>();
        worker.Faulted += e =>
        {
            faults.Add(e);
            worker.Stop();
            worker.Dispose();
            throw new InvalidOperationException("a handler's own failure stays here");
        };
        using IDisposable watch = worker.Watch(fd, () => throw new NotSupportedException("boom"));
        worker.Start();
        fd.Signal();
        faults.TryTake(out Exception? fault, Limit).Should().BeTrue();
        fault.Should().BeOfType<NotSupportedException>();
        await Task.Run(worker.Stop).WaitAsync(Limit);
        fd.Signal();
        watch.Dispose();
        faults.Should().BeEmpty();
    }

    [Fact]
    public async Task The_callers_execution_context_does_not_flow()
    {
        var local = new AsyncLocal<string?> { Value = "caller" };
        using var worker = new Worker("test");
        var seen = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
        worker.Post(() => seen.SetResult(local.Value));
        worker.Start();
        (await seen.Task.WaitAsync(Limit)).Should().BeNull();
    }

    [Fact]
    public void A_descriptor_that_cannot_be_polled_is_refused()
    {
        using var worker = new Worker("test");
        using SafeFileHandle file = System.IO.File.OpenHandle(typeof(WorkerTests).Assembly.Location);
        worker.Invoking(w => w.WatchReadable((int)file.DangerousGetHandle(), () => { }))
            .Should().Throw<HostException>().Which.Step.Should().Be("epoll_ctl");
        using var fd = new EventFd();
        using IDisposable watch = worker.Watch(fd, () => { });
        worker.Invoking(w => w.Watch(fd, () => { })).Should().Throw<HostException>("it is watched already");
    }

    [Fact]
    public void Waking_allocates_nothing()
    {
        using var fd = new EventFd();
        using var back = new EventFd();
        using var worker = new Worker("test");
        using var done = new ManualResetEventSlim();
        long first = 0;
        long last = 0;
        int runs = 0;
        using IDisposable watch = worker.Watch(fd, () =>
        {
            runs++;
            if (runs == 100)
            {
                first = GC.GetAllocatedBytesForCurrentThread();
            }

            if (runs == 1000)
            {
                last = GC.GetAllocatedBytesForCurrentThread();
                done.Set();
                return;
            }

            fd.Signal();
        });
        worker.Start();
        fd.Signal();
        done.Wait(Limit).Should().BeTrue();
        (last - first).Should().Be(0);
    }

    [Fact]
    public void A_watch_that_is_switched_off_reports_neither_data_nor_a_hang_up()
    {
        using var worker = new Worker("test");
        using var reader = new AnonymousPipeServerStream(PipeDirection.In);
        var writer = new AnonymousPipeClientStream(PipeDirection.Out, reader.ClientSafePipeHandle);
        int runs = 0;
        using var ran = new SemaphoreSlim(0);
        IWatch watch = null!;
        watch = worker.WatchReadable((int)reader.SafePipeHandle.DangerousGetHandle(), () =>
        {
            runs++;
            watch.Enabled = false;
            ran.Release();
        });
        worker.Start();
        writer.WriteByte(1);
        ran.Wait(Limit).Should().BeTrue();
        writer.Dispose();
        RoundTrip(worker);
        RoundTrip(worker);
        runs.Should().Be(1);

        watch.Enabled.Should().BeFalse();
        watch.Enabled = true;
        ran.Wait(Limit).Should().BeTrue("the byte and the hang-up are still there");
        RoundTrip(worker);
        runs.Should().Be(2);
        watch.Dispose();
        watch.Enabled = true;
        RoundTrip(worker);
        runs.Should().Be(2);
    }

    private static void RoundTrip(Worker worker)
    {
        using var passed = new ManualResetEventSlim();
        worker.Post(passed.Set);
        passed.Wait(Limit).Should().BeTrue();
    }
}
