using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;

namespace Vmm.Tests.DeviceModel.Bus;

/// <summary>
/// Handlers that may wait for another process: only their own vCPU and their own removal wait for them. Where others are to go on, they do so while
/// the handler is held; a hang ends in the limit of <see cref="Within"/>.
/// </summary>
public sealed class BlockingClaimTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    [Theory]
    [InlineData(AddressSpaceKind.Memory)]
    [InlineData(AddressSpaceKind.Port)]
    [Trait("Behaviour", "BUS-12")]
    public async Task Other_changes_do_not_wait_for_a_blocked_handler(AddressSpaceKind kind)
    {
        var domain = new AccessDomain();
        AddressSpace space = Space(domain, kind);
        AddressSpace other = Space(domain, kind == AddressSpaceKind.Port ? AddressSpaceKind.Memory : AddressSpaceKind.Port);
        using var blocked = new BlockedHandler();
        var claim = new HandlerClaim("blocked", 16, blocked) { IsBlocking = true };
        var neighbour = new HandlerClaim("neighbour", 16, new ConstantHandler(1));
        var elsewhere = new HandlerClaim("elsewhere", 16, new ConstantHandler(1));
        space.Add(claim, 0x1000);
        space.Add(neighbour, 0x2000);
        other.Add(elsewhere, 0x1000);
        Task<ulong> access = OnThread(() => space.Read(0x1004, 4));
        blocked.Entered.Wait();

        await Within(OnThread(() =>
        {
            Move(space, neighbour, 0x3000);
            space.Remove(neighbour);
            other.Remove(elsewhere);
            domain.Synchronize();

            // Its own address moves too: the access in flight was one to the old address.
            Move(space, claim, 0x4000);
            return true;
        }));
        access.IsCompleted.Should().BeFalse();
        neighbour.Space.Should().BeNull();
        space.Segments.Should().ContainSingle().Which.Start.Should().Be(0x4000);

        blocked.Go.Set();
        (await Within(access)).Should().Be(BlockedHandler.Value);
    }

    [Fact]
    [Trait("Behaviour", "BUS-12")]
    [Trait("Behaviour", "BUS-6")]
    public async Task Its_own_removal_waits_and_holds_up_no_other_change()
    {
        AddressSpace space = Space();
        using var blocked = new BlockedHandler();
        var claim = new HandlerClaim("blocked", 16, blocked) { IsBlocking = true };
        var companion = new HandlerClaim("removed with it", 16, new ConstantHandler(1));
        space.Add(claim, 0x1000);
        space.Add(companion, 0x1010);
        Task<bool> access = OnThread(() =>
        {
            space.Write(0x1000, 4, 1);
            return true;
        });
        blocked.Entered.Wait();
        Task<bool> removal = OnThread(() =>
        {
            AddressSpaceTransaction transaction = space.BeginTransaction();
            transaction.Remove(claim);
            transaction.Remove(companion);
            transaction.Commit();
            return blocked.Returned;
        });

        SpinWait.SpinUntil(() => companion.Space is null, Limit).Should().BeTrue();
        space.Read(0x1000, 4).Should().Be(0xffff_ffff, "it is out of the view at once");
        claim.Space.Should().Be(space, "it is not free for disposal yet");
        removal.IsCompleted.Should().BeFalse();
        var later = new HandlerClaim("later", 16, new ConstantHandler(1));
        await Within(OnThread(() =>
        {
            space.Add(later, 0x1000);
            space.Remove(later);
            return true;
        }));

        blocked.Go.Set();
        (await Within(removal)).Should().BeTrue("the handler had returned when the removal did");
        await Within(access);
        claim.Space.Should().BeNull();
        space.GetCounters(claim).Should().Be(new ClaimCounters(0, 1));
    }

    [Fact]
    [Trait("Behaviour", "BUS-12")]
    public async Task Two_blocked_handlers_wait_for_themselves_only()
    {
        AddressSpace space = Space();
        using var first = new BlockedHandler();
        using var second = new BlockedHandler();
        var one = new HandlerClaim("one", 16, first) { IsBlocking = true };
        var two = new HandlerClaim("two", 16, second) { IsBlocking = true };
        space.Add(one, 0x1000);
        space.Add(two, 0x2000);
        Task<ulong> firstAccess = OnThread(() => space.Read(0x1000, 4));
        Task<ulong> secondAccess = OnThread(() => space.Read(0x2000, 4));
        first.Entered.Wait();
        second.Entered.Wait();
        Task<bool> removal = OnThread(() =>
        {
            space.Remove(one);
            return true;
        });

        removal.IsCompleted.Should().BeFalse();
        first.Go.Set();
        await Within(removal);
        secondAccess.IsCompleted.Should().BeFalse();
        second.Go.Set();
        await Within(firstAccess);
        await Within(secondAccess);
    }

    [Fact]
    public void Effects_of_a_blocking_handler_run_when_its_access_has_ended()
    {
        AddressSpace space = Space();
        var order = new List<string>();
        space.Add(new HandlerClaim("ordinary", 16, new DelegateHandler((_, _) => 7)), 0x2000);
        HandlerClaim? claim = null;
        claim = new HandlerClaim("blocking", 16, new DelegateHandler(write: (_, _, _) =>
        {
            space.Domain.IsInside.Should().BeTrue("an effect has to follow the access");
            space.Domain.RunAfterAccess(() =>
            {
                order.Add("effect");
                space.Remove(claim!);
            });

            // An access of the handler's own, and a scope, end without running what is queued.
            space.Read(0x2000, 4).Should().Be(7);
            using (space.Domain.Enter())
            {
                order.Add("scope");
            }

            order.Add("handler");
        }))
        {
            IsBlocking = true,
        };
        space.Add(claim, 0x1000);

        space.Write(0x1000, 4, 1);

        space.HandlerFaults.Should().Be(0);
        order.Should().Equal("scope", "handler", "effect");
        claim.Space.Should().BeNull();
        space.Domain.IsInside.Should().BeFalse();
        space.Domain.FailedEffects.Should().Be(0);
    }

    [Fact]
    public void A_change_from_inside_a_blocking_handler_is_refused()
    {
        AddressSpace space = Space();
        var refusals = new List<Exception?>();
        HandlerClaim? claim = null;
        claim = new HandlerClaim("blocking", 16, new DelegateHandler(write: (_, _, _) =>
        {
            refusals.Add(Record.Exception(() => space.Remove(claim!)));
            refusals.Add(Record.Exception(space.Domain.Synchronize));
        }))
        {
            IsBlocking = true,
        };
        space.Add(claim, 0x1000);
        space.Write(0x1000, 4, 1);

        refusals.Should().HaveCount(2).And.AllBeOfType<InvalidOperationException>();
        claim.Space.Should().Be(space);
    }

    [Fact]
    [Trait("Behaviour", "BUS-3")]
    [Trait("Behaviour", "BUS-4")]
    public void An_access_over_several_claims_is_cut_as_ever()
    {
        AddressSpace space = Space();
        var before = new RecordingHandler(4, 0x11);
        var middle = new RecordingHandler(2, 0x22);
        var after = new RecordingHandler(16, 0x33);
        space.Add(new HandlerClaim("before", 4, before), 0x1000);
        space.Add(new HandlerClaim("middle", 2, middle) { IsBlocking = true }, 0x1004);
        space.Add(new HandlerClaim("after", 16, after), 0x1006);

        space.Read(0x1002, 8).Should().Be(0x3333_3333_2222_1111);
        space.Write(0x1003, 5, 0x05_04_03_02_01);

        before.ToString().Should().Be("r2+2 w3+1=1");
        middle.ToString().Should().Be("r0+2 w0+2=302");
        after.ToString().Should().Be("r0+4 w0+2=504");
        (before.SawForbidden | middle.SawForbidden | after.SawForbidden).Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "BUS-5")]
    public async Task The_rest_of_an_access_sees_the_map_as_it_is_after_the_blocked_piece()
    {
        AddressSpace space = Space();
        using var blocked = new BlockedHandler();
        var rest = new HandlerClaim("rest", 4, new ConstantHandler(0x55));
        space.Add(new HandlerClaim("blocked", 4, blocked) { IsBlocking = true }, 0x1000);
        space.Add(rest, 0x1004);
        Task<ulong> access = OnThread(() => space.Read(0x1000, 8));
        blocked.Entered.Wait();

        // The removal returns, so what is removed may be disposed: the access must not go there any more.
        await Within(OnThread(() =>
        {
            space.Remove(rest);
            return true;
        }));
        blocked.Go.Set();

        (await Within(access)).Should().Be(0xffff_ffff_0000_0000 | BlockedHandler.Value);
    }

    [Fact]
    [Trait("Behaviour", "BUS-12")]
    public async Task A_blocking_handler_that_reaches_another_one_stays_outside()
    {
        AddressSpace space = Space();
        using var blocked = new BlockedHandler();
        space.Add(new HandlerClaim("inner", 16, blocked) { IsBlocking = true }, 0x1000);
        space.Add(new HandlerClaim("outer", 16, new DelegateHandler((_, _) => space.Read(0x1000, 4))) { IsBlocking = true }, 0x2000);
        var bystander = new HandlerClaim("bystander", 16, new ConstantHandler(1));
        space.Add(bystander, 0x3000);
        Task<ulong> access = OnThread(() => space.Read(0x2000, 4));
        blocked.Entered.Wait();

        await Within(OnThread(() =>
        {
            space.Remove(bystander);
            return true;
        }));
        access.IsCompleted.Should().BeFalse();
        blocked.Go.Set();
        (await Within(access)).Should().Be(BlockedHandler.Value);
    }

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    public async Task Reached_from_an_ordinary_handler_it_is_a_part_of_that_access()
    {
        AddressSpace space = Space();
        using var blocked = new BlockedHandler();
        var inner = new HandlerClaim("inner", 16, blocked) { IsBlocking = true };
        space.Add(inner, 0x1000);
        space.Add(new HandlerClaim("ordinary", 16, new DelegateHandler((_, _) => space.Read(0x1000, 4))), 0x2000);
        Task<ulong> access = OnThread(() => space.Read(0x2000, 4));
        blocked.Entered.Wait();
        Task<bool> removal = OnThread(() =>
        {
            space.Remove(inner);
            return blocked.Returned;
        });

        SpinWait.SpinUntil(() => space.Segments.Count == 1, Limit).Should().BeTrue();
        removal.IsCompleted.Should().BeFalse();
        blocked.Go.Set();
        (await Within(removal)).Should().BeTrue();
        (await Within(access)).Should().Be(BlockedHandler.Value);
    }

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void A_blocking_handler_that_throws_is_taken_out_of_service_and_can_be_removed()
    {
        AddressSpace space = Space();
        int calls = 0;
        var claim = new HandlerClaim("broken", 16, new DelegateHandler((_, _) =>
        {
            calls++;
            throw new InvalidOperationException("of the device");
        }))
        {
            IsBlocking = true,
        };
        space.Add(claim, 0x1000);

        space.Read(0x1000, 4).Should().Be(0xffff_ffff);
        space.Read(0x1000, 4).Should().Be(0xffff_ffff);
        calls.Should().Be(1);
        space.IsFaulted(claim).Should().BeTrue();
        space.Remove(claim);
        claim.Space.Should().BeNull();
        space.Domain.IsInside.Should().BeFalse();
        space.GetCounters(claim).Should().Be(new ClaimCounters(2, 0));
    }

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    [Trait("Behaviour", "BUS-11")]
    public async Task No_access_reaches_a_blocking_handler_after_its_removal()
    {
        AddressSpace space = Space();
        MortalHandler[] handlers = new[] { new MortalHandler(), new MortalHandler() };
        using var stop = new CancellationTokenSource();
        Task<long>[] readers = Enumerable.Range(0, 2).Select(_ => OnThread(() =>
        {
            long reads = 0;
            while (!stop.IsCancellationRequested)
            {
                space.Read(0x1000, 4);
                space.Read(0x1006, 4);
                space.Write(0x2001, 8, 1);
                reads++;
            }

            return reads;
        })).ToArray();

        Task<bool> changes = OnThread(() =>
        {
            // As many as there is time for: with every processor busy, a change takes some time slices.
            var elapsed = Stopwatch.StartNew();
            for (int i = 0; i < 2000 && (i < 40 || elapsed.Elapsed < TimeSpan.FromSeconds(6)); i++)
            {
                MortalHandler handler = handlers[i & 1];
                var claim = new HandlerClaim("mortal", 8, handler) { IsBlocking = true };
                handler.Live();
                space.Add(claim, (i & 2) == 0 ? 0x1000u : 0x2000u);
                if ((i & 4) != 0)
                {
                    Move(space, claim, (i & 2) == 0 ? 0x2000u : 0x1000u);
                }

                // Somebody gets there, or is about to.
                SpinWait.SpinUntil(() => handler.Uses != 0, 1);
                space.Remove(claim);
                handler.Die();
            }

            return true;
        });
        try
        {
            await Within(changes);
        }
        finally
        {
            await stop.CancelAsync();
        }

        foreach (Task<long> reader in readers)
        {
            (await Within(reader)).Should().BePositive();
        }

        handlers.Sum(static handler => handler.UsesAfterDeath).Should().Be(0);
        space.HandlerFaults.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "BUS-5")]
    public void Dispatch_to_a_blocking_handler_allocates_nothing()
    {
        AddressSpace space = Space();
        space.Add(new HandlerClaim("blocking", 16, new ConstantHandler(0x77)) { IsBlocking = true }, 0x1000);
        space.Read(0x1000, 4);
        space.Write(0x1001, 8, 1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            space.Read(0x1000, 4);
            space.Write(0x1001, 8, 1);
        }

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);
    }

    private static AddressSpace Space(AccessDomain? domain = null, AddressSpaceKind kind = AddressSpaceKind.Memory)
    {
        return new AddressSpace(new AddressSpaceOptions { Domain = domain, Kind = kind });
    }

    private static void Move(AddressSpace space, Claim claim, ulong to)
    {
        AddressSpaceTransaction transaction = space.BeginTransaction();
        transaction.Move(claim, to);
        transaction.Commit();
    }

    private static Task<T> OnThread<T>(Func<T> body)
    {
        return Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private static Task<T> Within<T>(Task<T> task) => task.WaitAsync(Limit);

    private sealed class MortalHandler : IRegionHandler
    {
        private long _uses;
        private long _usesAfterDeath;
        private volatile bool _dead;

        public long Uses => Volatile.Read(ref _uses);

        public long UsesAfterDeath => Volatile.Read(ref _usesAfterDeath);

        public void Live()
        {
            Volatile.Write(ref _uses, 0);
            _dead = false;
        }

        public void Die() => _dead = true;

        public ulong Read(ulong offset, int width)
        {
            Check();
            return 0;
        }

        public void Write(ulong offset, int width, ulong value) => Check();

        private void Check()
        {
            Interlocked.Increment(ref _uses);
            bool before = _dead;
            Thread.SpinWait(1);
            if (before || _dead)
            {
                Interlocked.Increment(ref _usesAfterDeath);
            }
        }
    }
}
