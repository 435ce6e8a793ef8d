using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.Tests.Fakes;

namespace Vmm.Tests.DeviceModel.Bus;

/// <summary>Devices that throw, addresses that nobody claims, and what is counted and reported of them.</summary>
public sealed class AddressSpaceFaultTests
{
    private readonly ListLogger _log = new();

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void A_throwing_device_answers_all_ones_from_then_on_and_the_others_go_on()
    {
        AddressSpace space = Space();
        int calls = 0;
        var bad = new HandlerClaim("bad", 0x2000, new DelegateHandler((_, _) => throw new InvalidTimeZoneException("oops " + calls++)));
        var good = new RecordingHandler(0x1000, 0x42);
        space.Add(bad, 0x1000);
        space.Add(new HandlerClaim("good", 0x1000, good), 0x3000);
        space.Add(new HandlerClaim("over bad", 0x10, new RecordingHandler(0x10)), 0x1800);

        space.Read(0x1000, 4).Should().Be(0xffff_ffff);
        space.Read(0x2000, 2).Should().Be(0xffff);
        space.Write(0x1004, 4, 1);
        space.Read(0x2ffe, 4).Should().Be(0x4242_ffff);

        calls.Should().Be(1);
        space.IsFaulted(bad).Should().BeTrue();
        space.HandlerFaults.Should().Be(1);
        space.GetCounters(bad).Should().Be(new ClaimCounters(3, 1));
        _log.Entries.Should().ContainSingle(e => e.Level == LogLevel.Error).Which.Text.Should().Contain("bad");
    }

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void A_fault_in_a_write_or_in_a_piece_of_an_access_is_stopped_too()
    {
        AddressSpace space = Space();
        var writes = new HandlerClaim("writes", 0x1000, new DelegateHandler(write: (_, _, _) => throw new InvalidOperationException()));
        var pieces = new HandlerClaim("pieces", 0x1000, new DelegateHandler((_, _) => throw new InvalidOperationException()));
        space.Add(writes, 0x1000);
        space.Add(pieces, 0x2000);

        space.Write(0x1001, 7, 1);
        space.Read(0x2001, 3).Should().Be(0xff_ffff);

        space.IsFaulted(writes).Should().BeTrue();
        space.IsFaulted(pieces).Should().BeTrue();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "BUS-8")]
    public void A_handler_that_stands_for_several_devices_says_whose_an_exception_is(bool contains)
    {
        AddressSpace space = Space();
        var handler = new Several(contains);
        var claim = new HandlerClaim("several", 0x1000, handler);
        space.Add(claim, 0x1000);

        space.Read(0x1010, 4).Should().Be(0xffff_ffff);
        space.Write(0x1021, 2, 7);
        space.Read(0x1040, 8).Should().Be(contains ? 0x40UL : ulong.MaxValue);

        handler.Contained.Should().Equal(contains ? [0x10UL, 0x21, 0x22] : [0x10UL]);
        space.IsFaulted(claim).Should().Be(!contains);
        space.HandlerFaults.Should().Be(contains ? 0 : 1);
    }

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void A_faulted_claim_stays_so_until_it_is_removed_and_begins_anew_when_it_is_added_again()
    {
        AddressSpace space = Space();
        bool broken = true;
        var claim = new HandlerClaim("moody", 0x1000, new DelegateHandler((_, _) => broken ? throw new InvalidOperationException() : 1UL));
        space.Add(claim, 0x1000);
        space.Read(0x1000, 1);
        broken = false;

        AddressSpaceTransaction move = space.BeginTransaction();
        move.Move(claim, 0x5000);
        move.Commit();
        space.Read(0x5000, 1).Should().Be(0xff);
        space.IsFaulted(claim).Should().BeTrue();
        space.Remove(claim);
        space.IsFaulted(claim).Should().BeTrue("what is gone is as it went");
        space.Add(claim, 0x7000);
        space.IsFaulted(claim).Should().BeFalse();
        space.Read(0x7000, 1).Should().Be(1);
        broken = true;
        space.Read(0x7000, 1).Should().Be(0xff);
        space.IsFaulted(claim).Should().BeTrue();
        _log.Entries.Count(static e => e.Level == LogLevel.Error).Should().Be(2, "once for each stay");
    }

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void A_claim_that_is_removed_and_added_by_one_transaction_never_left()
    {
        AddressSpace space = Space();
        var claim = new HandlerClaim("moody", 0x1000, new DelegateHandler((_, _) => throw new InvalidOperationException()));
        space.Add(claim, 0x1000);
        space.Read(0x1000, 1);
        AddressSpaceTransaction transaction = space.BeginTransaction();
        transaction.Remove(claim);
        transaction.Add(claim, 0x5000);
        transaction.Commit();
        space.IsFaulted(claim).Should().BeTrue();
    }

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void A_log_that_fails_leaves_nobody_inside_and_no_access_undone()
    {
        var log = new ThrowingLogger();
        var space = new AddressSpace(new AddressSpaceOptions { Name = "test", LoggerFactory = log, UnclaimedSink = new Sink { Throws = true } });
        var plain = new AddressSpace(new AddressSpaceOptions { Name = "plain", LoggerFactory = log, Domain = space.Domain });
        space.Add(new HandlerClaim("bad", 0x1000, new DelegateHandler((_, _) => throw new InvalidOperationException())), 0x1000);
        plain.Add(new HandlerClaim("worse", 0x1000, new DelegateHandler(write: (_, _, _) => throw new InvalidOperationException())), 0x1000);

        space.Read(0x1000, 4).Should().Be(0xffff_ffff);
        plain.Write(0x1000, 4, 1);
        space.Read(0x9000, 4).Should().Be(0xffff_ffff);
        plain.Read(0x9000, 4).Should().Be(0xffff_ffff);
        plain.Write(0x9001, 7, 1);

        log.Attempts.Should().BeGreaterThan(3);
        space.Domain.IsInside.Should().BeFalse();
        space.Domain.Synchronize();
    }

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void An_effect_that_fails_with_its_log_keeps_no_later_effect_from_running()
    {
        var domain = new AccessDomain(new ThrowingLogger());
        int ran = 0;
        for (int i = 0; i < 2; i++)
        {
            using (domain.Enter())
            {
                domain.RunAfterAccess(() => throw new InvalidOperationException());
                domain.RunAfterAccess(() => ran++);
            }
        }

        ran.Should().Be(2);
        domain.FailedEffects.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "BUS-2")]
    public void Unclaimed_accesses_are_all_counted_and_a_few_are_reported()
    {
        AddressSpace space = Space();
        for (int i = 0; i < 1000; i++)
        {
            space.Read(0x9000, 4);
            space.Write(0x9000, 2, 0x1234);
        }

        space.UnclaimedCounters.Should().Be(new ClaimCounters(1000, 1000));
        _log.Entries.Count.Should().BeInRange(10, 200);
        _log.Entries[0].Text.Should().Contain("0x9000").And.Contain("read of 4");
        _log.Entries[1].Text.Should().Contain("0x9000").And.Contain("0x1234");
    }

    [Fact]
    [Trait("Behaviour", "BUS-2")]
    public void The_sink_is_told_what_was_tried_on_the_accessing_thread_and_logs_instead_of_the_space()
    {
        var sink = new Sink();
        var space = new AddressSpace(new AddressSpaceOptions { UnclaimedSink = sink, LoggerFactory = _log });
        space.Add(new HandlerClaim("device", 4, new RecordingHandler(4)), 0x9004);

        space.Write(0x9002, 4, 0x4433_2211);

        sink.Last.Should().Be(new UnclaimedAccess(space, 0x9002, 2, true, 0x2211, 0));
        sink.Thread.Should().Be(Environment.CurrentManagedThreadId);
        _log.Entries.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "BUS-2")]
    public void A_sink_that_throws_does_no_harm()
    {
        var space = new AddressSpace(new AddressSpaceOptions { UnclaimedSink = new Sink { Throws = true }, LoggerFactory = _log });

        space.Read(0x9000, 4).Should().Be(0xffff_ffff);

        _log.Entries.Should().ContainSingle().Which.Text.Should().Contain("sink");
    }

    [Fact]
    [Trait("Behaviour", "BUS-10")]
    public async Task Counts_are_exact_over_threads_that_have_ended()
    {
        AddressSpace space = Space();
        HandlerClaim[] claims = Enumerable.Range(0, 40).Select(i => new HandlerClaim($"c{i}", 0x1000, new ConstantHandler((byte)i))).ToArray();
        for (int i = 0; i < claims.Length; i++)
        {
            space.Add(claims[i], (ulong)i << 12);
        }

        for (int round = 0; round < 3; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => OnThread(() =>
            {
                for (int i = 0; i < 1000; i++)
                {
                    space.Read((ulong)(i % 40) << 12, 4);
                    space.Write((ulong)(i % 20) << 12, 4, 0);
                }
            })));
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        claims[..20].Should().OnlyContain(c => space.GetCounters(c) == new ClaimCounters(300, 600));
        claims[20..].Should().OnlyContain(c => space.GetCounters(c) == new ClaimCounters(300, 0));
    }

    [Fact]
    [Trait("Behaviour", "BUS-10")]
    public void Counts_go_on_when_a_claim_leaves_and_comes_back_and_are_never_anothers()
    {
        AddressSpace space = Space();
        var first = new HandlerClaim("first", 16, new ConstantHandler(1));
        space.Add(first, 0x1000);
        space.Read(0x1000, 4);
        space.Read(0x1000, 4);
        space.Remove(first);
        space.GetCounters(first).Should().Be(new ClaimCounters(2, 0));

        var second = new HandlerClaim("second", 16, new ConstantHandler(1));
        space.Add(second, 0x1000);
        space.GetCounters(second).Should().Be(default(ClaimCounters));
        space.Write(0x1000, 4, 1);
        space.Add(first, 0x2000);
        space.Read(0x2000, 4);

        space.GetCounters(first).Should().Be(new ClaimCounters(3, 0));
        space.GetCounters(second).Should().Be(new ClaimCounters(0, 1));
        var other = new AddressSpace(new AddressSpaceOptions());
        ((Action)(() => other.GetCounters(first))).Should().Throw<ArgumentException>();
        ((Action)(() => other.IsFaulted(first))).Should().Throw<ArgumentException>();
    }

    private static Task OnThread(Action body)
    {
        return Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private AddressSpace Space() => new(new AddressSpaceOptions { LoggerFactory = _log });

    private sealed class Sink : IUnclaimedAccessSink
    {
        public bool Throws { get; init; }

        public UnclaimedAccess Last { get; private set; }

        public int Thread { get; private set; }

        public void OnUnclaimed(in UnclaimedAccess access)
        {
            Last = access;
            Thread = Environment.CurrentManagedThreadId;
            if (Throws)
            {
                throw new InvalidOperationException("sink");
            }
        }
    }

    /// <summary>Several devices of 64 bytes, of which the first throws.</summary>
    private sealed class Several(bool contains) : IRegionHandler, IFaultContainment
    {
        public List<ulong> Contained { get; } = [];

        public ulong Read(ulong offset, int width) => offset < 0x40 ? throw new InvalidOperationException() : offset;

        public void Write(ulong offset, int width, ulong value) => _ = Read(offset, width);

        public bool TryContain(ulong offset, Exception failure)
        {
            Contained.Add(offset);
            return contains;
        }
    }
}
