using System;
using System.Threading;
using Vmm.DeviceModel.Events;

namespace Vmm.Tests.DeviceModel.Events;

/// <summary>A worker that looks for work before it sleeps.</summary>
public sealed class WorkerPollingTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public void Work_is_found_without_being_told_and_sent_to_sleep_after()
    {
        // The limit is so long that every sleep of the test is a short one.
        using var rig = new Rig(TimeSpan.FromSeconds(5));
        rig.WakeUntilPolled();

        rig.Work.Offer(3);
        rig.Work.Done.Wait(Patience).Should().BeTrue();
        rig.Work.Taken.Should().Be(3);
        rig.Worker.Stop();
        rig.Work.Ended.Should().BeLessThanOrEqualTo(rig.Work.Accepted);
    }

    [Fact]
    public void What_is_watched_has_its_turn_while_there_is_always_work()
    {
        using var rig = new Rig(TimeSpan.FromSeconds(5));
        rig.WakeUntilPolled();
        rig.Work.Offer(int.MaxValue);
        using var other = new EventFd();
        using var ran = new ManualResetEventSlim();
        using IWatch watch = rig.Worker.Watch(other, ran.Set);

        other.Signal();

        ran.Wait(Patience).Should().BeTrue();
        rig.Work.Taken.Should().BePositive();
    }

    [Fact]
    public void A_stop_ends_polling()
    {
        using var rig = new Rig(TimeSpan.FromHours(1));
        rig.WakeUntilPolled();
        rig.Worker.TryDispose(Patience).Should().BeTrue();
    }

    [Fact]
    public void Work_that_was_not_found_is_told_of_the_end_before_the_worker_sleeps()
    {
        using var rig = new Rig(TimeSpan.FromMilliseconds(20));
        rig.WakeUntilPolled();
        SpinWait.SpinUntil(() => rig.Work.Ended == rig.Work.Accepted, Patience).Should().BeTrue();
        rig.Worker.PollTime.Should().BePositive("nobody had work");
    }

    [Fact]
    public void A_worker_without_a_limit_does_not_poll()
    {
        using var rig = new Rig(TimeSpan.Zero);
        for (int i = 0; i < 100; i++)
        {
            rig.WakeOnce();
        }

        rig.Work.Accepted.Should().Be(0);
        rig.Work.Ended.Should().Be(0);
        rig.Worker.PollTime.Should().Be(TimeSpan.Zero);
    }

    private sealed class Rig : IDisposable
    {
        private readonly EventFd _kick = new();
        private readonly AutoResetEvent _woken = new(false);

        public Rig(TimeSpan limit)
        {
            Worker = new Worker("polls") { PollLimit = limit };
            Worker.Watch(_kick, () =>
            {
                if (Worker.TryPoll(Work))
                {
                    Work.Accepted++;
                }

                _woken.Set();
            });
            Worker.Start();
        }

        public Worker Worker { get; }

        public FakeWork Work { get; } = new();

        public void WakeOnce()
        {
            _kick.Signal();
            _woken.WaitOne(Patience).Should().BeTrue();
        }

        public void WakeUntilPolled() => SpinWait.SpinUntil(
            () =>
            {
                WakeOnce();
                return Work.Accepted > 0;
            },
            Patience).Should().BeTrue();

        public void Dispose()
        {
            Worker.Dispose();
            _kick.Dispose();
            _woken.Dispose();
        }
    }

    private sealed class FakeWork : IPolledWork
    {
        private int _offered;
        private volatile int _taken;
        private volatile int _ended;
        private volatile int _accepted;

        public ManualResetEventSlim Done { get; } = new();

        public int Taken => _taken;

        public int Ended => _ended;

        public int Accepted
        {
            get => _accepted;
            set => _accepted = value;
        }

        public void Offer(int count) => Volatile.Write(ref _offered, count);

        public bool Poll()
        {
            if (_taken == Volatile.Read(ref _offered))
            {
                return false;
            }

            _taken++;
            if (_taken == Volatile.Read(ref _offered))
            {
                Done.Set();
            }

            return true;
        }

        public void EndPoll() => _ended++;
    }
}
