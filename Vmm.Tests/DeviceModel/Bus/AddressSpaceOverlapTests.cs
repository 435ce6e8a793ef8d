using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.DeviceModel.Bus;

/// <summary>Who wins where claims overlap, and that the loser comes back.</summary>
[Trait("Behaviour", "BUS-7")]
public sealed class AddressSpaceOverlapTests
{
    private readonly AddressSpace _space = new(new AddressSpaceOptions());

    [Fact]
    public void The_higher_priority_wins_whatever_the_order()
    {
        HandlerClaim weak = Claim("weak", 0x1000, 1, ClaimPriority.Bar);
        HandlerClaim strong = Claim("strong", 0x10, 2, ClaimPriority.Platform);
        _space.Add(strong, 0x8100);
        _space.Add(weak, 0x8000);

        At(0x80ff).Should().Be(1);
        At(0x8100).Should().Be(2);
        At(0x810f).Should().Be(2);
        At(0x8110).Should().Be(1);
        _space.Segments.Select(s => (s.Start, s.Last, s.Claim.Name, s.Offset)).Should().Equal(
            (0x8000UL, 0x80ffUL, "weak", 0UL), (0x8100, 0x810f, "strong", 0), (0x8110, 0x8fff, "weak", 0x110));
    }

    [Fact]
    public void Among_equals_the_last_added_wins_and_the_loser_reappears_when_it_moves_or_leaves()
    {
        HandlerClaim first = Claim("first", 0x1000, 1);
        HandlerClaim second = Claim("second", 0x1000, 2);
        _space.Add(first, 0x8000);
        _space.Add(second, 0x8000);
        At(0x8800).Should().Be(2);

        Move(second, 0x8800);
        At(0x8400).Should().Be(1);
        At(0x8800).Should().Be(2);

        Move(second, 0x2_0000);
        At(0x8800).Should().Be(1);

        Move(second, 0x8000);
        At(0x8800).Should().Be(2, "moving does not make a claim older or younger");
        Move(first, 0x8000);
        At(0x8800).Should().Be(2);

        _space.Remove(second);
        At(0x8800).Should().Be(1);
        At(0x2_0000).Should().Be(0xff);
    }

    [Fact]
    public void A_claim_hidden_on_all_sides_keeps_its_offsets()
    {
        var seen = new List<ulong>();
        var low = new HandlerClaim("low", 0x100, new DelegateHandler((offset, _) =>
        {
            seen.Add(offset);
            return 0;
        }));
        _space.Add(low, 0x8000);
        _space.Add(Claim("over", 0x40, 9), 0x8020);
        _space.Add(Claim("over too", 0x10, 9), 0x80f0);

        _space.Read(0x8000, 1);
        _space.Read(0x8060, 4);
        _space.Read(0x80ec, 8);

        seen.Should().Equal(0, 0x60, 0xec);
    }

    [Fact]
    public void Winners_agree_with_a_naive_search_under_random_changes()
    {
        var random = new Random(7);
        var present = new List<(HandlerClaim Claim, ulong Base, int Order)>();
        int order = 0;
        for (int step = 0; step < 400; step++)
        {
            AddressSpaceTransaction transaction = _space.BeginTransaction();
            for (int i = random.Next(1, 4); i > 0; i--)
            {
                int what = random.Next(3);
                if (what == 0 || present.Count < 3)
                {
                    HandlerClaim claim = Claim($"c{order}", (ulong)random.Next(1, 0x3000), (byte)random.Next(255), random.Next(3));
                    ulong to = (ulong)random.Next(0x8000);
                    transaction.Add(claim, to);
                    present.Add((claim, to, order++));
                }
                else if (what == 1)
                {
                    int index = random.Next(present.Count);
                    transaction.Remove(present[index].Claim);
                    present.RemoveAt(index);
                }
                else
                {
                    int index = random.Next(present.Count);
                    ulong to = (ulong)random.Next(0x8000);
                    transaction.Move(present[index].Claim, to);
                    present[index] = (present[index].Claim, to, present[index].Order);
                }
            }

            transaction.Commit();
            for (int probe = 0; probe < 60; probe++)
            {
                ulong address = (ulong)random.Next(0xb800);
                HandlerClaim? expected = present
                    .Where(p => address >= p.Base && address - p.Base < p.Claim.Length)
                    .OrderByDescending(p => p.Claim.Priority).ThenByDescending(p => p.Order)
                    .Select(p => p.Claim).FirstOrDefault();
                ulong answer = expected is null ? 0xff : expected.Handler.Read(0, 1) & 0xff;
                At(address).Should().Be(answer, "step {0}, address {1:x}", step, address);
            }

            present.Should().OnlyContain(p => p.Claim.Base == p.Base && p.Claim.Space == _space);
        }
    }

    [Fact]
    public void Large_and_scattered_claims_are_found_too()
    {
        _space.Add(Claim("terabyte", 1UL << 40, 1, ClaimPriority.Background), 1UL << 41);
        for (ulong i = 0; i < 300; i++)
        {
            // Same low bits, far apart, sub-page and crossing pages.
            _space.Add(Claim($"s{i}", 0x2200, (byte)(i % 200 + 2)), (i << 33) + 0xf00);
        }

        for (ulong i = 0; i < 300; i++)
        {
            ulong at = (i << 33) + 0xf00;
            At(at).Should().Be(i % 200 + 2);
            At(at + 0x21ff).Should().Be(i % 200 + 2);
            At(at - 1).Should().Be(InTerabyte(at - 1) ? 1UL : 0xff);
            At(at + 0x2200).Should().Be(InTerabyte(at + 0x2200) ? 1UL : 0xff);
        }

        At((1UL << 41) - 1).Should().Be(0xff);
        At((1UL << 41) + 0x5000_0000).Should().Be(1);
        At(3UL << 40).Should().Be(0xff);
    }

    [Fact]
    public void Many_claims_in_one_page_are_found()
    {
        for (ulong i = 0; i < 256; i++)
        {
            _space.Add(Claim($"r{i}", 8, (byte)(i & 0x7f)), 0x4000 + (i * 16));
        }

        for (ulong i = 0; i < 256; i++)
        {
            At(0x4000 + (i * 16) + 7).Should().Be(i & 0x7f);
            At(0x4000 + (i * 16) + 8).Should().Be(0xff);
        }
    }

    private static bool InTerabyte(ulong address) => address - (1UL << 41) < 1UL << 40;

    private static HandlerClaim Claim(string name, ulong length, byte answer, int priority = ClaimPriority.Bar)
    {
        return new HandlerClaim(name, length, new ConstantHandler(answer), priority);
    }

    private ulong At(ulong address) => _space.Read(address, 1);

    private void Move(Claim claim, ulong to)
    {
        AddressSpaceTransaction transaction = _space.BeginTransaction();
        transaction.Move(claim, to);
        transaction.Commit();
    }
}
