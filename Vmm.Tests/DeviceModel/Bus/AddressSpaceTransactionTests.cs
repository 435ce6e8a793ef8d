using System;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Bus;

/// <summary>Changes as one: claims, memory slots and doorbells, and how they are taken back.</summary>
public sealed class AddressSpaceTransactionTests : IDisposable
{
    private readonly RecordingMemorySlots _slots = new();
    private readonly RecordingDoorbells _doorbells = new();
    private readonly ListLogger _log = new();
    private readonly HostMemory _memory = HostMemory.AllocateAnonymous(0x10_0000);
    private readonly EventFd _event = new();
    private readonly AddressSpace _space;

    public AddressSpaceTransactionTests()
    {
        _space = new AddressSpace(new AddressSpaceOptions { MemorySlots = _slots, Doorbells = _doorbells, LoggerFactory = _log });
    }

    public void Dispose()
    {
        _memory.Dispose();
        _event.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "BUS-5")]
    public void Ram_is_a_slot_and_stays_untouched_when_something_else_moves()
    {
        var bar = new HandlerClaim("bar", 0x1000, new ConstantHandler(7));
        Change(t =>
        {
            t.Add(new MemoryClaim("ram", _memory, 0, 0x8_0000), 0);
            t.Add(bar, 0xd000_0000);
        });
        _slots.ClearCalls();

        Move(bar, 0xd100_0000);
        Move(bar, 0x1000);
        _space.Remove(bar);

        _slots.Calls.Should().BeEmpty();
        Slots().Should().Equal("0+80000");
    }

    [Fact]
    [Trait("Behaviour", "BUS-3")]
    public void Only_whole_visible_pages_are_slots_and_the_rest_is_dispatched()
    {
        // A BAR of device memory with a table in its middle: pages around it are slots, the table's pages are not.
        Change(t =>
        {
            t.Add(new MemoryClaim("bar", _memory, 0, 0x4800, priority: ClaimPriority.Bar), 0xd000_0000);
            t.Add(new HandlerClaim("table", 0x100, new ConstantHandler(0x99), ClaimPriority.Bar + 1), 0xd000_1800);
        });

        Slots().Should().Equal("d0000000+1000", "d0002000+2000");
        _slots.Mapped[1].Host.Should().Be(HostAddress + 0x2000);
        _space.Read(0xd000_1800, 4).Should().Be(0x9999_9999);
        _space.Write(0xd000_17fc, 8, 0x1122_3344_5566_7788);
        _space.Write(0xd000_47f8, 8, 42);
        System.Runtime.InteropServices.Marshal.ReadInt32(HostAddress, 0x17fc).Should().Be(0x5566_7788);
        _space.Read(0xd000_17fc, 8).Should().Be(0x9999_9999_5566_7788);
        _space.Read(0xd000_47f8, 8).Should().Be(42);
    }

    [Fact]
    [Trait("Behaviour", "KVM-8")]
    public void Read_only_memory_is_a_read_only_slot_and_drops_writes_that_exit()
    {
        _space.Add(new MemoryClaim("rom", _memory, 0x1000, 0x2000, readOnly: true), 0xfffc_0000);
        System.Runtime.InteropServices.Marshal.WriteInt32(HostAddress, 0x1000, 0x1234_5678);

        _space.Write(0xfffc_0000, 4, 0);

        _space.Read(0xfffc_0000, 4).Should().Be(0x1234_5678);
        Slots().Should().Equal("fffc0000+2000 ro");
    }

    [Fact]
    public void Memory_that_is_not_page_aligned_on_the_host_is_dispatched()
    {
        _space.Add(new MemoryClaim("odd", _memory, 0x800, 0x3000), 0x1_0000);
        _space.Write(0x1_0000, 1, 0x5a);

        _slots.Mapped.Should().BeEmpty();
        _space.Read(0x1_0000, 1).Should().Be(0x5a);
    }

    [Fact]
    public void Without_a_hypervisor_everything_is_dispatched()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        var notify = new RecordingHandler(4);
        var claim = new HandlerClaim("notify", 4, notify);
        AddressSpaceTransaction transaction = space.BeginTransaction();
        transaction.Add(new MemoryClaim("ram", _memory, 0, 0x1000), 0);
        transaction.Add(claim, 0x4000);
        transaction.Add(new DoorbellClaim("doorbell", claim, 0, 2, _event));
        transaction.Commit();

        space.Write(0x10, 8, 0x0102_0304_0506_0708);
        space.Write(0x4000, 2, 1);

        space.Read(0x14, 2).Should().Be(0x0304);
        notify.ToString().Should().Be("w0+2=1");
    }

    [Fact]
    [Trait("Behaviour", "VTP-14")]
    public void Doorbells_follow_the_claim_they_lie_over_while_it_is_visible()
    {
        var notify = new HandlerClaim("notify", 0x1000, new RecordingHandler(0x1000));
        var bell = new DoorbellClaim("bell", notify, 4, 2, _event);
        var other = new HandlerClaim("other", 0x1000, new ConstantHandler(0));
        Change(t =>
        {
            t.Add(bell);
            t.Add(notify, 0xd000_0000);
        });
        Bells().Should().Equal("d0000004/2");
        bell.Base.Should().Be(0xd000_0004);

        Move(notify, 0xd100_0000);
        Bells().Should().Equal("d1000004/2");
        _doorbells.Calls.Should().Equal("add d0000004", "remove d0000004", "add d1000004");

        _space.Add(other, 0xd100_0000);
        Bells().Should().BeEmpty("another claim lies over it");
        _space.Remove(other);
        Bells().Should().Equal("d1000004/2");

        _space.Remove(notify);
        Bells().Should().BeEmpty();
        bell.Space.Should().BeNull();
        ((Action)(() => _space.Add(bell, 0))).Should().Throw<ArgumentException>().WithMessage("*notify*not in*");
        bell.Space.Should().BeNull();
    }

    [Fact]
    [Trait("Behaviour", "VTP-14")]
    public void A_refused_doorbell_is_no_failure_its_writes_reach_the_handler()
    {
        var handler = new RecordingHandler(0x1000);
        var notify = new HandlerClaim("notify", 0x1000, handler);
        _doorbells.Refuse = _ => true;
        Change(t =>
        {
            t.Add(notify, 0xd000_0000);
            t.Add(new DoorbellClaim("bell", notify, 8, 2, _event, 3));
        });

        _doorbells.Ring(0xd000_0008, 2, 3).Should().BeFalse();
        _space.Write(0xd000_0008, 2, 3);

        handler.ToString().Should().Be("w8+2=3");
        _space.RefusedDoorbells.Should().Be(1);
        _log.Entries.Should().ContainSingle(e => e.Text.Contains("bell") && e.Text.Contains("d0000008"));
        _doorbells.Refuse = null;
        _space.Add(new HandlerClaim("unrelated", 16, new ConstantHandler(1)), 0x1000);
        Bells().Should().BeEmpty("what was refused at an address is not asked for again until it moves");
        Move(notify, 0xd200_0000);
        Bells().Should().Equal("d2000008/2=3");
    }

    [Theory]
    [Trait("Behaviour", "BUS-5")]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_refused_slot_takes_everything_back(int failing)
    {
        var notify = new HandlerClaim("notify", 0x1000, new ConstantHandler(1));
        MemoryClaim[] old = Enumerable.Range(0, 3).Select(i => new MemoryClaim($"old{i}", _memory, (ulong)i << 12, 0x1000)).ToArray();
        var bell = new DoorbellClaim("bell", notify, 0, 4, _event);
        Change(t =>
        {
            t.Add(notify, 0xd000_0000);
            t.Add(bell);
            for (int i = 0; i < old.Length; i++)
            {
                t.Add(old[i], 0xc000_0000 + ((ulong)i << 20));
            }
        });
        string[] slotsBefore = Slots();
        string[] bellsBefore = Bells();
        AddressSpaceSegment[] segmentsBefore = _space.Segments.ToArray();
        var added = new MemoryClaim("added", _memory, 0x8000, 0x1000);
        int mapped = 0;
        _slots.Refuse = address => address >= 0xe000_0000 && mapped++ == failing;
        AddressSpaceTransaction transaction = _space.BeginTransaction();
        transaction.Move(notify, 0xd800_0000);
        for (int i = 0; i < old.Length; i++)
        {
            transaction.Move(old[i], 0xe000_0000 + ((ulong)i << 20));
        }

        transaction.Add(added, 0xe800_0000);

        ((Action)transaction.Commit).Should().Throw<HostException>();

        Slots().Should().Equal(slotsBefore);
        Bells().Should().Equal(bellsBefore);
        _space.Segments.Should().Equal(segmentsBefore);
        added.Space.Should().BeNull();
        notify.Base.Should().Be(0xd000_0000);
        _slots.Refuse = null;
        transaction.Commit();
        Slots().Should().Equal("e0000000+1000", "e0100000+1000", "e0200000+1000", "e8000000+1000");
        Bells().Should().Equal("d8000000/4");
        ((Action)transaction.Commit).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_slot_that_cannot_be_removed_takes_everything_back_too()
    {
        var first = new MemoryClaim("first", _memory, 0, 0x1000);
        var second = new MemoryClaim("second", _memory, 0x1000, 0x1000);
        Change(t =>
        {
            t.Add(first, 0xc000_0000);
            t.Add(second, 0xc010_0000);
        });
        _slots.RefuseUnmap = address => address == 0xc010_0000;
        AddressSpaceTransaction transaction = _space.BeginTransaction();
        transaction.Move(first, 0xe000_0000);
        transaction.Remove(second);

        ((Action)transaction.Commit).Should().Throw<HostException>();

        Slots().Should().Equal("c0000000+1000", "c0100000+1000");
        second.Space.Should().Be(_space);
    }

    [Fact]
    public void What_cannot_be_restored_is_dispatched_and_hinders_nothing_later()
    {
        var claim = new MemoryClaim("memory", _memory, 0, 0x1000);
        _space.Add(claim, 0xc000_0000);
        _slots.Refuse = _ => true;

        ((Action)(() => Move(claim, 0xe000_0000))).Should().Throw<HostException>();

        Slots().Should().BeEmpty();
        _log.Entries.Should().Contain(e => e.Text.Contains("undoing"));
        _space.FailedRollbacks.Should().Be(1);
        _space.Write(0xc000_0000, 4, 0x1234);
        _space.Read(0xc000_0000, 4).Should().Be(0x1234);
        _space.Add(new HandlerClaim("unrelated", 16, new ConstantHandler(1)), 0x1000);
        Slots().Should().BeEmpty();
        _slots.Refuse = null;
        _space.Add(new HandlerClaim("unrelated too", 16, new ConstantHandler(1)), 0x2000);
        Slots().Should().Equal("c0000000+1000");
    }

    [Fact]
    public void What_is_dispatched_stays_so_however_many_changes_fail()
    {
        var first = new MemoryClaim("first", _memory, 0, 0x1000);
        var second = new MemoryClaim("second", _memory, 0x1000, 0x1000);
        _space.Add(first, 0xc000_0000);
        _slots.Refuse = address => address is 0xc000_0000 or 0xf000_0000;
        for (ulong to = 0xd000_0000; to < 0xd003_0000; to += 0x1_0000)
        {
            AddressSpaceTransaction transaction = _space.BeginTransaction();
            transaction.Move(first, to);
            transaction.Add(second, 0xf000_0000);
            ((Action)transaction.Commit).Should().Throw<HostException>();

            var unrelated = new HandlerClaim("unrelated", 16, new ConstantHandler(1));
            _space.Invoking(space => space.Add(unrelated, 0x1000)).Should().NotThrow();
            _space.Remove(unrelated);
            _space.Write(0xc000_0000, 4, (uint)to);
            _space.Read(0xc000_0000, 4).Should().Be((uint)to);
        }
    }

    [Fact]
    public void What_became_a_slot_again_in_a_change_that_failed_is_dispatched_again()
    {
        var first = new MemoryClaim("first", _memory, 0, 0x1000);
        var second = new MemoryClaim("second", _memory, 0x1000, 0x1000);
        _space.Add(first, 0xc000_0000);
        _slots.Refuse = _ => true;
        ((Action)(() => Move(first, 0xd000_0000))).Should().Throw<HostException>();
        _slots.Refuse = address => address == 0xf000_0000;
        ((Action)(() => _space.Add(second, 0xf000_0000))).Should().Throw<HostException>();
        _slots.Refuse = _ => true;
        _space.Invoking(space => space.Add(new HandlerClaim("unrelated", 16, new ConstantHandler(1)), 0x1000)).Should().NotThrow();
    }

    [Fact]
    [Trait("Behaviour", "KVM-8")]
    public void A_refused_slot_of_memory_that_may_be_dispatched_is_no_failure()
    {
        var device = new MemoryClaim("device", _memory, 0, 0x2000, mayDispatch: true);
        _slots.Refuse = address => address >= 0xd000_0000;
        _space.Add(device, 0xd000_0000);
        _space.Write(0xd000_1000, 8, 0x1122_3344_5566_7788);
        _space.Read(0xd000_1000, 8).Should().Be(0x1122_3344_5566_7788);
        _space.RefusedSlots.Should().Be(1);
        _log.Entries.Should().ContainSingle(e => e.Text.Contains("device") && e.Text.Contains("d0000000"));

        _space.Add(new HandlerClaim("unrelated", 16, new ConstantHandler(1)), 0x1000);
        _space.RefusedSlots.Should().Be(1, "it is tried again with each change, and counted once");
        for (ulong i = 1; i <= 1000; i++)
        {
            Move(device, 0xd000_0000 + (i * 0x1000));
        }

        _space.RefusedSlots.Should().Be(1001);
        _log.Entries.Count.Should().BeInRange(1, 30);
        _slots.Refuse = null;
        _space.Add(new HandlerClaim("unrelated too", 16, new ConstantHandler(1)), 0x2000);
        Slots().Should().Equal("d03e8000+2000");
    }

    [Fact]
    public void A_slot_that_was_refused_in_a_change_that_failed_is_forgotten()
    {
        var ram = new MemoryClaim("ram", _memory, 0x2000, 0x1000);
        _slots.Refuse = _ => true;
        AddressSpaceTransaction transaction = _space.BeginTransaction();
        transaction.Add(new MemoryClaim("device", _memory, 0, 0x1000, mayDispatch: true), 0xd000_0000);
        transaction.Add(ram, 0xe000_0000);
        ((Action)transaction.Commit).Should().Throw<HostException>();
        var later = new MemoryClaim("ram at the same place", _memory, 0, 0x1000);
        _space.Invoking(space => space.Add(later, 0xd000_0000)).Should().Throw<HostException>();
    }

    [Fact]
    public void Refused_doorbells_are_all_counted_and_a_few_are_logged()
    {
        var notify = new HandlerClaim("notify", 0x1000, new ConstantHandler(1));
        _doorbells.Refuse = _ => true;
        Change(t =>
        {
            t.Add(notify, 0xd000_0000);
            t.Add(new DoorbellClaim("bell", notify, 8, 2, _event));
        });
        for (ulong i = 1; i <= 1000; i++)
        {
            Move(notify, 0xd000_0000 + (i * 0x1000));
        }

        _space.RefusedDoorbells.Should().Be(1001);
        _log.Entries.Count.Should().BeInRange(1, 30);
    }

    [Fact]
    public void One_memory_handed_from_claim_to_claim_keeps_its_slot()
    {
        var before = new MemoryClaim("before", _memory, 0, 0x1000);
        _space.Add(before, 0xc000_0000);
        _slots.ClearCalls();
        Change(t =>
        {
            t.Remove(before);
            t.Add(new MemoryClaim("after", _memory, 0, 0x1000), 0xc000_0000);
        });

        _slots.Calls.Should().BeEmpty();
        before.Space.Should().BeNull();
    }

    [Fact]
    public void Misuse_is_named_and_changes_nothing()
    {
        var claim = new HandlerClaim("claim", 16, new ConstantHandler(1));
        var stranger = new HandlerClaim("stranger", 16, new ConstantHandler(1));
        var elsewhere = new AddressSpace(new AddressSpaceOptions { Name = "elsewhere" });
        elsewhere.Add(stranger, 0);
        _space.Add(claim, 0x1000);
        var fresh = new HandlerClaim("fresh", 16, new ConstantHandler(1));

        Refused(t => t.Add(claim, 0x2000), "*claim is in memory already*");
        Refused(t => t.Add(stranger, 0x2000), "*stranger*elsewhere*");
        Refused(t => t.Move(fresh, 0), "*fresh is not in memory*");
        Refused(t => t.Remove(stranger), "*stranger is not in memory*");
        Refused(
            t =>
            {
                t.Add(fresh, 0x2000);
                t.Add(fresh, 0x3000);
            },
            "*fresh*already*");
        ((Action)(() => _space.BeginTransaction().Move(new DoorbellClaim("bell", claim, 0, 2, _event), 0))).Should().Throw<ArgumentException>();

        fresh.Space.Should().BeNull();
        _space.Segments.Should().ContainSingle();
        elsewhere.Segments.Should().ContainSingle();
    }

    [Fact]
    public void Steps_of_one_transaction_see_each_other()
    {
        var passing = new HandlerClaim("passing", 16, new ConstantHandler(1));
        var staying = new HandlerClaim("staying", 16, new ConstantHandler(2));
        _space.Add(staying, 0x1000);
        Change(t =>
        {
            t.Add(passing, 0x2000);
            t.Remove(staying);
            t.Remove(passing);
            t.Add(staying, 0x3000);
        });

        passing.Space.Should().BeNull();
        staying.Space.Should().Be(_space);
        _space.Segments.Should().ContainSingle().Which.Start.Should().Be(0x3000);
        var other = new AddressSpace(new AddressSpaceOptions());
        other.Add(passing, 0);
        other.Read(0, 1).Should().Be(1);
    }

    private nint HostAddress
    {
        get
        {
            unsafe
            {
                return (nint)_memory.Pointer;
            }
        }
    }

    private string[] Slots() => _slots.Mapped.Select(s => s.ToString()).ToArray();

    private string[] Bells() => _doorbells.Registered.Select(s => s.ToString()).ToArray();

    private void Refused(Action<AddressSpaceTransaction> steps, string message)
    {
        ((Action)(() => Change(steps))).Should().Throw<ArgumentException>().WithMessage(message);
    }

    private void Change(Action<AddressSpaceTransaction> steps)
    {
        AddressSpaceTransaction transaction = _space.BeginTransaction();
        steps(transaction);
        transaction.Commit();
    }

    private void Move(Claim claim, ulong to) => Change(t => t.Move(claim, to));
}
