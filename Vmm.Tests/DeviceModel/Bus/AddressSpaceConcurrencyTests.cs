using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.DeviceModel.Bus;

/// <summary>Changes while other threads access. No test asserts a duration; a hang ends in the limit of <see cref="WithinLimit"/>.</summary>
[Trait("Category", "Long")]
public sealed class AddressSpaceConcurrencyTests
{
    private const int Moves = 100_000;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    public async Task Removal_returns_after_the_access_in_flight()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        using var entered = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        bool ended = false;
        var slow = new HandlerClaim("slow", 16, new DelegateHandler((_, _) =>
        {
            entered.Set();
            go.Wait();
            Volatile.Write(ref ended, true);
            return 5;
        }));
        space.Add(slow, 0x1000);
        Task<ulong> access = OnThread(() => space.Read(0x1000, 4));
        entered.Wait();
        using var removing = new ManualResetEventSlim();
        Task<bool> removal = OnThread(() =>
        {
            removing.Set();
            space.Remove(slow);
            return Volatile.Read(ref ended);
        });
        removing.Wait();

        // As soon as the view is published nobody else gets there, but the remover waits; other changes don't have to.
        SpinWait.SpinUntil(() => space.Read(0x1000, 4) == 0xffff_ffff);
        space.Add(new HandlerClaim("unrelated", 16, new ConstantHandler(1)), 0x2000);
        slow.Space.Should().Be(space, "it is not free for disposal yet");
        removal.IsCompleted.Should().BeFalse();

        go.Set();
        (await WithinLimit(removal)).Should().BeTrue("the access had ended when the removal returned");
        (await WithinLimit(access)).Should().Be(5);
        slow.Space.Should().BeNull();
    }

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    public async Task A_move_returns_after_accesses_at_the_old_address()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        using var entered = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        bool ended = false;
        var slow = new HandlerClaim("slow", 16, new DelegateHandler(write: (_, _, _) =>
        {
            entered.Set();
            go.Wait();
            Volatile.Write(ref ended, true);
        }));
        space.Add(slow, 0x1000);
        Task<bool> access = OnThread(() =>
        {
            space.Write(0x1000, 4, 1);
            return true;
        });
        entered.Wait();
        Task<bool> move = OnThread(() =>
        {
            Move(space, slow, 0x2000);
            return Volatile.Read(ref ended);
        });
        SpinWait.SpinUntil(() => space.Segments[0].Start == 0x2000);
        move.IsCompleted.Should().BeFalse();
        go.Set();
        (await WithinLimit(move)).Should().BeTrue();
        await WithinLimit(access);
    }

    [Fact]
    [Trait("Behaviour", "BUS-5")]
    [Trait("Behaviour", "BUS-11")]
    public async Task Every_read_sees_the_old_map_or_the_new_one()
    {
        // The upper claim moves on and off the address of the lower one: a read gives either's value, and never nobody's.
        var space = new AddressSpace(new AddressSpaceOptions());
        var lower = new HandlerClaim("lower", 0x1000, new ConstantHandler(1));
        var upper = new HandlerClaim("upper", 0x1000, new ConstantHandler(2), ClaimPriority.Platform);
        space.Add(lower, 0x1000);
        space.Add(upper, 0x1000);
        using var stop = new CancellationTokenSource();
        Task<(long, long)>[] readers = Enumerable.Range(0, 2).Select(_ => OnThread(() => Count(space, stop.Token))).ToArray();

        await WithinLimit(OnThread(() =>
        {
            for (int i = 0; i < Moves; i++)
            {
                Move(space, upper, (i & 1) == 0 ? 0x1_0000UL : 0x1000);
            }

            return true;
        }));
        await stop.CancelAsync();
        foreach (Task<(long, long)> reader in readers)
        {
            (long seen, long wrong) = await WithinLimit(reader);
            wrong.Should().Be(0);
            seen.Should().BePositive();
        }

        ClaimCounters both = space.GetCounters(lower);
        (both.Reads + space.GetCounters(upper).Reads).Should().Be((await readers[0]).Item1 + (await readers[1]).Item1);
        space.UnclaimedCounters.Reads.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "BUS-5")]
    public async Task A_pair_swapped_in_one_transaction_is_never_seen_half()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        var first = new HandlerClaim("first", 4, new ConstantHandler(1));
        var second = new HandlerClaim("second", 4, new ConstantHandler(2));
        space.Add(first, 0x1000);
        space.Add(second, 0x1004);
        using var stop = new CancellationTokenSource();
        Task<long> reader = OnThread(() =>
        {
            long wrong = 0;
            while (!stop.IsCancellationRequested)
            {
                // One access over both: it sees one order or the other.
                wrong += space.Read(0x1000, 8) is 0x0202_0202_0101_0101 or 0x0101_0101_0202_0202 ? 0 : 1;
            }

            return wrong;
        });
        for (ulong i = 0; i < 20_000; i++)
        {
            AddressSpaceTransaction swap = space.BeginTransaction();
            swap.Move(first, 0x1004 - ((i & 1) * 4));
            swap.Move(second, 0x1000 + ((i & 1) * 4));
            swap.Commit();
        }

        await stop.CancelAsync();
        (await WithinLimit(reader)).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    [Trait("Behaviour", "BUS-11")]
    public async Task Adding_moving_and_removing_from_several_threads_loses_nothing()
    {
        const int Writers = 3;
        const int Rounds = 1_500;
        var space = new AddressSpace(new AddressSpaceOptions());
        using var stop = new CancellationTokenSource();
        long useAfterRemoval = 0;
        long wrong = 0;
        Task<bool>[] readers = Enumerable.Range(0, 2).Select(index => OnThread(() =>
        {
            var random = new Random(index);
            while (!stop.IsCancellationRequested)
            {
                ulong slot = (ulong)random.Next(Writers * 4);
                ulong value = space.Read(slot << 12, 4);

                // A writer's addresses hold only its own devices, or nobody.
                if (value != 0xffff_ffff && value != (slot / 4 + 1) * 0x0101_0101UL)
                {
                    Interlocked.Increment(ref wrong);
                }

                space.Write(slot << 12, 8, value);
            }

            return true;
        })).ToArray();
        Task<int>[] writers = Enumerable.Range(0, Writers).Select(index => OnThread(() =>
        {
            var random = new Random(100 + index);
            var present = new List<(HandlerClaim Claim, MortalHandler Handler)>();
            for (int i = 0; i < Rounds; i++)
            {
                ulong to = (ulong)((index * 4) + random.Next(4)) << 12;
                int what = random.Next(3);
                if (what == 0 || present.Count == 0)
                {
                    var handler = new MortalHandler((byte)(index + 1));
                    var claim = new HandlerClaim($"w{index} {i}", 0x1000, handler);
                    space.Add(claim, to);
                    present.Add((claim, handler));
                }
                else
                {
                    int chosen = random.Next(present.Count);
                    if (what == 1)
                    {
                        Move(space, present[chosen].Claim, to);
                    }
                    else
                    {
                        space.Remove(present[chosen].Claim);
                        present[chosen].Handler.Die();
                        present.RemoveAt(chosen);
                    }
                }
            }

            Interlocked.Add(ref useAfterRemoval, present.Sum(p => p.Handler.UsesAfterDeath));
            present.Should().OnlyContain(p => p.Claim.Space == space);
            foreach ((HandlerClaim claim, MortalHandler handler) in present)
            {
                space.Remove(claim);
                handler.Die();
                Interlocked.Add(ref useAfterRemoval, handler.UsesAfterDeath);
            }

            return present.Count;
        })).ToArray();

        await WithinLimit(Task.WhenAll(writers));
        await stop.CancelAsync();
        await WithinLimit(Task.WhenAll(readers));
        wrong.Should().Be(0);
        useAfterRemoval.Should().Be(0);
        MortalHandler.AllUsesAfterDeath.Should().Be(0);
        space.HandlerFaults.Should().Be(0);
        space.Segments.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "BUS-5")]
    public void Accesses_allocate_nothing()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        for (ulong i = 0; i < 40; i++)
        {
            space.Add(new HandlerClaim($"c{i}", 0x1000, new ConstantHandler(1)), i << 12);
        }

        Access();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 50; i++)
        {
            Access();
        }

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);

        void Access()
        {
            for (ulong i = 0; i < 40; i++)
            {
                space.Read(i << 12, 4);
                space.Write(i << 12, 8, i);
                space.Read((i << 12) + 0xffd, 7);
                space.Write((i << 12) + 1, 5, i);
            }

            space.Read(0x10_0000, 8);
            space.Write(0x10_0000, 3, 0);
        }
    }

    private static (long Seen, long Wrong) Count(AddressSpace space, CancellationToken stop)
    {
        long seen = 0;
        long wrong = 0;
        while (!stop.IsCancellationRequested)
        {
            ulong value = space.Read(0x1ff0, 4);
            wrong += value is 0x0101_0101 or 0x0202_0202 ? 0 : 1;
            seen++;
        }

        return (seen, wrong);
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

    private static Task<T> WithinLimit<T>(Task<T> task) => task.WaitAsync(Limit);

    /// <summary>Counts accesses that come after its end: there must be none once its removal has returned.</summary>
    private sealed class MortalHandler(byte value) : IRegionHandler
    {
        private static long _allUsesAfterDeath;
        private readonly ulong _value = value * 0x0101_0101_0101_0101UL;
        private long _usesAfterDeath;
        private volatile bool _dead;

        public static long AllUsesAfterDeath => Volatile.Read(ref _allUsesAfterDeath);

        public long UsesAfterDeath => Volatile.Read(ref _usesAfterDeath);

        public void Die() => _dead = true;

        public ulong Read(ulong offset, int width)
        {
            Check();
            return _value;
        }

        public void Write(ulong offset, int width, ulong value) => Check();

        private void Check()
        {
            // Looked at twice, so that a removal that returns in the middle of us is caught too.
            bool before = _dead;
            Thread.SpinWait(1);
            if (before || _dead)
            {
                Interlocked.Increment(ref _usesAfterDeath);
                Interlocked.Increment(ref _allUsesAfterDeath);
            }
        }
    }
}
