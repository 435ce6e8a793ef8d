using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>
/// The quick ways through a ring against the walk that can do everything: over any ring that a driver may write, both take the same chains to the
/// same buffers, and find the same fault.
/// </summary>
[Trait("Behaviour", "VQ-1")]
[Trait("Behaviour", "VQ-2")]
public sealed unsafe class WalkAgreementTests : IDisposable
{
    private const int Size = 8;
    private const int TableEntries = 6;
    private const int Rounds = 20_000;
    private const ulong SecondRegion = 1 << 20;
    private const ulong ThirdRegion = 8 << 20;
    private const ushort PackedAvailable = 1 << 7;

    private readonly GuestRam _ram = new((0, 1 << 20), (SecondRegion, 1 << 20), (ThirdRegion, 1 << 20));
    private readonly CountingVector _interrupt = new();
    private readonly Random _random = new(17);
    private readonly ulong _tables;
    private int _taken;
    private int _broken;

    public WalkAgreementTests()
    {
        _tables = _ram.Allocate(Size * TableEntries * 16);
    }

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Theory]
    [BothForms(0ul, 0)]
    [BothForms(RingFeatures.IndirectDescriptors, 0)]
    [BothForms(RingFeatures.IndirectDescriptors, 1)]
    [BothForms(RingFeatures.IndirectDescriptors, 40)]
    public void Every_way_takes_the_same_chains_and_finds_the_same_faults(RingForm form, ulong features, int faults)
    {
        var driver = RingDriver.Create(form, _ram, Size, features);
        for (int round = 0; round < Rounds; round++)
        {
            Write(driver, form, faults);
            Virtqueue quick = Create(driver);
            Virtqueue slow = Create(driver);
            var chain = new DescriptorChain(_random.Next(3) == 0 ? 1 : 64);
            var expected = new DescriptorChain();
            using (quick.Enter())
            using (slow.Enter())
            {
                bool popped;
                do
                {
                    popped = slow.TryPopByAnyWay(expected);
                    quick.TryPop(chain).Should().Be(popped, "round {0}: {1}, {2}", round, quick.BrokenReason, slow.BrokenReason);
                    quick.BrokenReason.Should().Be(slow.BrokenReason);
                    if (popped)
                    {
                        Compare(chain, expected, round);
                        quick.Save().Should().Be(slow.Save());
                        _taken++;
                    }
                }
                while (popped);
                _broken += slow.IsBroken ? 1 : 0;
            }
        }

        _taken.Should().BeGreaterThan(Rounds / 4, "most of what is written should be chains");
        _broken.Should().BeGreaterThanOrEqualTo(faults == 0 ? 0 : Rounds / 100, "some of it should be faults");
    }

    private static void Compare(DescriptorChain chain, DescriptorChain expected, int round)
    {
        Shape(chain).Should().Be(Shape(expected), "round {0}", round);
        for (int i = 0; i < expected.ReadableCount + expected.WritableCount; i++)
        {
            ((nint)chain.Segments[i].Base).Should().Be((nint)expected.Segments[i].Base, "round {0}, piece {1}", round, i);
            chain.Segments[i].Length.Should().Be(expected.Segments[i].Length, "round {0}, piece {1}", round, i);
        }
    }

    private static (int Head, uint Slots, int Readable, int Writable, long ReadableLength, long WritableLength) Shape(DescriptorChain chain)
    {
        return (chain.Head, chain.RingDescriptors, chain.ReadableCount, chain.WritableCount, chain.ReadableLength, chain.WritableLength);
    }

    private Virtqueue Create(RingDriver driver)
    {
        BareRing.TryCreate(driver.Configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }

    /// <summary>Writes a whole ring.</summary>
    /// <param name="driver">Knows where it lies.</param>
    /// <param name="form">Its form.</param>
    /// <param name="faults">Of a hundred descriptors, those that have a fault of some kind.</param>
    private void Write(RingDriver driver, RingForm form, int faults)
    {
        int left = 0;
        int writableFrom = 0;
        for (int i = 0; i < Size; i++)
        {
            if (left == 0)
            {
                left = _random.Next(1, Math.Min(5, Size - i + 1));
                writableFrom = _random.Next(0, left + 1);
            }

            left--;
            bool isFaulty = _random.Next(100) < faults;
            bool isTable = (driver.Features & RingFeatures.IndirectDescriptors) != 0 && _random.Next(4) == 0;
            int flags = (left > 0 ? RingDriver.Next : 0) | (left < writableFrom ? RingDriver.Write : 0) | (isTable ? RingDriver.Indirect : 0);
            ulong table = _tables + (16UL * TableEntries * (uint)i);
            int entries = _random.Next(1, TableEntries + 1);
            if (isTable)
            {
                WriteTable(form, table, entries, faults);
            }

            flags ^= isFaulty ? _random.Next(8) : 0;
            uint length = isTable ? (uint)(entries * 16) + (isFaulty ? (uint)_random.Next(17) : 0) : Length(isFaulty);
            ushort next = (ushort)(isFaulty && _random.Next(2) == 0 ? _random.Next(Size + 2) : i + 1);
            ushort id = (ushort)_random.Next(1 << 16);
            ushort lap = isFaulty && _random.Next(3) == 0 ? (ushort)0 : PackedAvailable;
            bool isPacked = form == RingForm.Packed;
            Put(
                driver.Descriptors + (16UL * (uint)i), isTable ? table : Address(isFaulty), length, isPacked ? id : (ushort)flags,
                isPacked ? (ushort)(flags | lap) : next);
        }

        if (form == RingForm.Split)
        {
            int heads = _random.Next(1, Size + 1);
            for (int i = 0; i < heads; i++)
            {
                int head = _random.Next(100) < faults ? _random.Next(Size + 2) : _random.Next(Size);
                _ram.Write(driver.Driver + 4 + (2UL * (uint)i), (ushort)head);
            }

            _ram.Write(driver.Driver + 2, (ushort)heads);
        }
    }

    private void WriteTable(RingForm form, ulong table, int entries, int faults)
    {
        int writableFrom = _random.Next(0, entries + 1);
        for (int i = 0; i < entries; i++)
        {
            bool isFaulty = _random.Next(100) < faults;
            int flags = i >= writableFrom ? RingDriver.Write : 0;
            flags |= form == RingForm.Split && i < entries - 1 ? RingDriver.Next : 0;
            flags ^= isFaulty ? _random.Next(8) : 0;
            ushort next = (ushort)(isFaulty ? _random.Next(entries + 1) : i + 1);
            bool isPacked = form == RingForm.Packed;
            Put(table + (16UL * (uint)i), Address(isFaulty), Length(isFaulty), isPacked ? next : (ushort)flags, isPacked ? (ushort)flags : next);
        }
    }

    private void Put(ulong place, ulong address, uint length, ushort low, ushort high)
    {
        _ram.Write(place, address);
        _ram.Write(place + 8, length);
        _ram.Write(place + 12, low);
        _ram.Write(place + 14, high);
    }

    // Mostly inside a region, now and then around the border of two that follow each other.
    private ulong Address(bool isFaulty) => _random.Next(isFaulty ? 12 : 10) switch
    {
        < 6 => (ulong)_random.Next(0x1000, 0x8_0000),
        < 8 => SecondRegion - 64 + (ulong)_random.Next(128),
        < 10 => ThirdRegion + (ulong)_random.Next(0x1000),
        10 => ThirdRegion + (1 << 20) - (ulong)_random.Next(64),
        _ => ulong.MaxValue - (ulong)_random.Next(64),
    };

    private uint Length(bool isFaulty) => _random.Next(isFaulty ? 12 : 10) switch
    {
        0 => 0,
        < 10 => (uint)_random.Next(1, 128),
        10 => uint.MaxValue,
        _ => 2 << 20,
    };
}
