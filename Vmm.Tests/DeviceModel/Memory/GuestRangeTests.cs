using System.Numerics;
using FsCheck;
using FsCheck.Fluent;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

[Trait("Behaviour", "MEM-1")]
public sealed class GuestRangeTests
{
    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(0, ulong.MaxValue, true)]
    [InlineData(1, ulong.MaxValue, true)]
    [InlineData(2, ulong.MaxValue, false)]
    [InlineData(ulong.MaxValue, 0, true)]
    [InlineData(ulong.MaxValue, 1, true)]
    [InlineData(ulong.MaxValue, 2, false)]
    [InlineData(0xFFFF_FFFF_FFFF_F000, 0x1000, true)]
    [InlineData(0xFFFF_FFFF_FFFF_F000, 0x1001, false)]
    public void A_range_ends_at_the_last_byte_of_the_address_space(ulong address, ulong length, bool valid)
    {
        GuestRange.TryCreate(address, length, out _).Should().Be(valid);
    }

    [Theory]
    [InlineData(0, 0, 0, true)]
    [InlineData(0, 1, 0, false)]
    [InlineData(1, 0, 0, false)]
    [InlineData(4096, 0, 4096, true)]
    [InlineData(4096, 1, 4096, false)]
    [InlineData(1, ulong.MaxValue, 4096, false)]
    [InlineData(ulong.MaxValue, 1, ulong.MaxValue, false)]
    [InlineData(ulong.MaxValue - 1, 1, ulong.MaxValue, true)]
    public void Fits_is_exact_at_its_borders(ulong offset, ulong length, ulong size, bool fits)
    {
        GuestRange.Fits(offset, length, size).Should().Be(fits);
    }

    [Fact]
    public void Both_agree_with_unbounded_arithmetic()
    {
        Gen<ulong> edges = Gen.OneOf(
            Gen.Choose(0, 5).Select(i => (ulong)i),
            Gen.Choose(0, 5).Select(i => ulong.MaxValue - (ulong)i),
            Gen.Choose(-3, 3).Select(i => 0x8000_0000_0000_0000 + (ulong)(long)i),
            Gen.Choose(0, int.MaxValue).Select(i => (ulong)i << 20));
        Prop.ForAll(
            edges.Three().ToArbitrary(),
            values =>
            {
                (ulong a, ulong b, ulong c) = values;
                bool valid = b == 0 || (BigInteger)a + b <= (BigInteger)ulong.MaxValue + 1;
                bool fits = (BigInteger)a + b <= c;
                return GuestRange.TryCreate(a, b, out _) == valid && GuestRange.Fits(a, b, c) == fits;
            }).QuickCheckThrowOnFailure();
    }
}
