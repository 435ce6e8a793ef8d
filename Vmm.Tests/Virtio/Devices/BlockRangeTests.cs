using System;
using Vmm.Tests.Fakes;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Discarding and zeroing ranges of a disk (virtio 1.2, 5.2.6.2).</summary>
public sealed class BlockRangeTests
{
    [Fact]
    public void Zeroing_and_discarding_ranges()
    {
        byte[] content = Pattern(64 * 512, 5);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file);
        Request(disk, WriteZeroes, 0, [.. Range(1, 2, 0), .. Range(8, 8, 1)], 0).Status.Should().Be(Ok);
        content.AsSpan(512, 1024).Clear();
        content.AsSpan(8 * 512, 8 * 512).Clear();
        file.Content.Should().Equal(content);

        Request(disk, Discard, 0, Range(32, 8, 0), 0).Status.Should().Be(Ok);
        file.Content.Length.Should().Be(content.Length);
        file.Content.AsSpan(0, 32 * 512).ToArray().Should().Equal(content.AsSpan(0, 32 * 512).ToArray());
        file.Content.AsSpan(40 * 512).ToArray().Should().Equal(content.AsSpan(40 * 512).ToArray());
    }

    [Theory]
    [InlineData(Discard, 0, 1, 1, Unsupported)]
    [InlineData(Discard, 0, 1, 2, Unsupported)]
    [InlineData(WriteZeroes, 0, 1, 2, Unsupported)]
    [InlineData(WriteZeroes, 0, 1, 0x80000001, Unsupported)]
    [InlineData(Discard, 64, 1, 0, IoError)]
    [InlineData(WriteZeroes, 60, 5, 0, IoError)]
    [InlineData(WriteZeroes, 0xffffffffffffffff, 2, 0, IoError)]
    [InlineData(WriteZeroes, 0, 0xffffffff, 0, IoError)]
    public void Bad_ranges_change_nothing_not_even_the_good_ones_before(uint type, ulong sector, uint count, uint flags, byte expected)
    {
        byte[] content = Pattern(64 * 512, 6);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file);
        Request(disk, type, 0, [.. Range(0, 4, 0), .. Range(sector, count, flags)], 0).Status.Should().Be(expected);
        file.Content.Should().Equal(content);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(33 * 16)]
    public void A_list_of_ranges_of_a_bad_length_is_an_error(int length)
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file);
        Request(disk, WriteZeroes, 0, new byte[length], 0).Status.Should().Be(IoError);
        Request(disk, Discard, 0, new byte[length], 0).Status.Should().Be(IoError);
    }

    [Fact]
    public void Requests_for_features_that_were_not_negotiated_are_unsupported()
    {
        byte[] content = Pattern(8 * 512, 8);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file, features: 0);
        Request(disk, WriteZeroes, 0, Range(0, 1, 0), 0).Status.Should().Be(Unsupported);
        Request(disk, Discard, 0, Range(0, 1, 0), 0).Status.Should().Be(Unsupported);
        Request(disk, Out, 0, new byte[512], 0).Status.Should().Be(Ok);
        file.Content.AsSpan(0, 512).ToArray().Should().OnlyContain(b => b == 0);
    }
}
