using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;

namespace Vmm.Tests.DeviceModel.Epochs;

/// <summary>Who is inside, who waits for whom, and effects that run after an access.</summary>
public sealed class AccessDomainTests
{
    [Fact]
    public void Scopes_nest()
    {
        var domain = new AccessDomain();
        domain.IsInside.Should().BeFalse();
        using (domain.Enter())
        {
            using (domain.Enter())
            {
                domain.IsInside.Should().BeTrue();
            }

            domain.IsInside.Should().BeTrue();
        }

        domain.IsInside.Should().BeFalse();
        domain.Synchronize();
    }

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    public async Task Synchronize_waits_for_who_was_inside_and_for_nobody_else()
    {
        var domain = new AccessDomain();
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        bool left = false;
        Task reader = OnThread(() =>
        {
            using (domain.Enter())
            {
                inside.Set();
                leave.Wait();
                Volatile.Write(ref left, true);
            }
        });
        inside.Wait();
        using var waiting = new ManualResetEventSlim();
        Task<bool> writer = OnThread(() =>
        {
            waiting.Set();
            domain.Synchronize();
            return Volatile.Read(ref left);
        });
        waiting.Wait();

        // Others come and go meanwhile.
        for (int i = 0; i < 1000; i++)
        {
            using (domain.Enter())
            {
            }
        }

        writer.IsCompleted.Should().BeFalse();
        leave.Set();
        (await writer).Should().BeTrue();
        await reader;
    }

    [Fact]
    public async Task Synchronize_does_not_wait_for_a_thread_that_left_and_came_back()
    {
        var domain = new AccessDomain();
        using var stop = new CancellationTokenSource();
        Task busy = OnThread(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                using (domain.Enter())
                {
                }
            }
        });

        for (int i = 0; i < 1000; i++)
        {
            domain.Synchronize();
        }

        await stop.CancelAsync();
        await busy;
        domain.IsInside.Should().BeFalse();
    }

    [Fact]
    public void Waiting_from_inside_is_refused_with_the_way_out()
    {
        var domain = new AccessDomain();
        using AccessDomain.ReadScope scope = domain.Enter();
        Exception? caught = null;
        try
        {
            domain.Synchronize();
        }
        catch (InvalidOperationException exception)
        {
            caught = exception;
        }

        caught!.Message.Should().Contain("RunAfterAccess");
    }

    [Fact]
    public void Committing_from_a_handler_is_refused_and_an_effect_after_the_access_does_it()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        Exception? refusal = null;
        HandlerClaim? register = null;
        register = new HandlerClaim("register", 4, new DelegateHandler(write: (_, _, value) =>
        {
            try
            {
                Move(value);
            }
            catch (InvalidOperationException exception)
            {
                refusal = exception;
            }

            space.Domain.RunAfterAccess(() => Move(value));
            register!.Base.Should().Be(0x1000);
        }));
        void Move(ulong to)
        {
            AddressSpaceTransaction transaction = space.BeginTransaction();
            transaction.Move(register!, to);
            transaction.Commit();
        }

        space.Add(register, 0x1000);
        space.Write(0x1000, 4, 0x8000);

        refusal.Should().NotBeNull();
        register.Base.Should().Be(0x8000);
        space.IsFaulted(register).Should().BeFalse();
    }

    [Fact]
    public void Effects_run_in_order_after_the_outermost_access_also_those_of_effects()
    {
        var domain = new AccessDomain();
        var order = new List<string>();
        domain.RunAfterAccess(() => order.Add("at once"));
        using (domain.Enter())
        {
            using (domain.Enter())
            {
                domain.RunAfterAccess(() =>
                {
                    order.Add($"first, inside: {domain.IsInside}");
                    using (domain.Enter())
                    {
                        domain.RunAfterAccess(() => order.Add("third"));
                    }
                });
                domain.RunAfterAccess(() => order.Add("second"));
            }

            order.Add("still inside");
        }

        order.Should().Equal("at once", "still inside", "first, inside: False", "second", "third");
        using (domain.Enter())
        {
            domain.RunAfterAccess(() => order.Add("again"));
        }

        order.Should().HaveCount(6);
    }

    [Fact]
    public void A_failing_effect_is_logged_and_counted_and_the_next_one_runs()
    {
        var log = new ListLogger();
        var domain = new AccessDomain(log);
        bool ran = false;
        using (domain.Enter())
        {
            domain.RunAfterAccess(() => throw new InvalidOperationException());
            domain.RunAfterAccess(() => ran = true);
        }

        domain.RunAfterAccess(() => throw new InvalidOperationException());

        ran.Should().BeTrue();
        domain.FailedEffects.Should().Be(2);
        log.Entries.Should().HaveCount(2);
    }

    [Fact]
    public void A_handler_may_access_the_bus_itself()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        space.Add(new HandlerClaim("target", 0x1000, new ConstantHandler(0x77)), 0x1000);
        space.Add(new HandlerClaim("window", 0x1000, new DelegateHandler((offset, width) => space.Read(0x1000 + offset, width))), 0x2000);

        space.Read(0x2ff8, 8).Should().Be(0x7777_7777_7777_7777);
        space.Domain.IsInside.Should().BeFalse();
    }

    [Fact]
    public async Task A_thread_may_be_inside_of_several_domains()
    {
        AccessDomain[] domains = Enumerable.Range(0, 5).Select(_ => new AccessDomain()).ToArray();
        await OnThread(() =>
        {
            using (domains[0].Enter())
            using (domains[3].Enter())
            {
                domains.Select(d => d.IsInside).Should().Equal(true, false, false, true, false);
                domains[1].Synchronize();
            }

            domains.Should().OnlyContain(d => !d.IsInside);
        });
    }

    [Fact]
    [Trait("Behaviour", "BUS-11")]
    public async Task Slots_of_threads_that_have_ended_are_given_back()
    {
        var domain = new AccessDomain();
        for (int round = 0; round < 3; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => OnThread(() => EnterOnce(domain))));
        }

        for (int i = 0; i < 20 && domain.SlotCount > 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            await Task.Delay(10);
        }

        domain.SlotCount.Should().BeLessThanOrEqualTo(2);
    }

    [Fact]
    public void A_thread_keeps_no_domain_alive()
    {
        WeakReference domain = MakeAndForget();
        for (int i = 0; i < 10 && domain.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        domain.IsAlive.Should().BeFalse();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference MakeAndForget()
    {
        var domain = new AccessDomain();
        EnterOnce(domain);
        return new WeakReference(domain);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void EnterOnce(AccessDomain domain)
    {
        using (domain.Enter())
        {
        }
    }

    private static Task OnThread(Action body)
    {
        return Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private static Task<T> OnThread<T>(Func<T> body)
    {
        return Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }
}
