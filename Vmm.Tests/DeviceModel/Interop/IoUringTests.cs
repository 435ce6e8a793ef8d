using System;
using System.Collections.Generic;
using System.IO;
using Vmm.DeviceModel.Interop;

namespace Vmm.Tests.DeviceModel.Interop;

/// <summary>The ring of operations as io_uring(7) has it, against the kernel that runs the tests.</summary>
public sealed unsafe class IoUringTests
{
    [Fact]
    public void Every_operation_ends_once_with_its_tag()
    {
        using IoUring ring = Create(64);
        var ended = new HashSet<ulong>();
        for (ulong round = 0; round < 100; round++)
        {
            for (ulong i = 0; i < 64; i++)
            {
                ring.TryAdd(out Libc.io_uring_sqe* entry).Should().BeTrue();
                entry->opcode = Libc.IORING_OP_NOP;
                entry->user_data = (round * 64) + i;
            }

            ring.TryAdd(out _).Should().BeFalse("as many are outstanding as there may be");
            ring.Submit().Should().Be(0);
            TakeAll(ring, (tag, result) =>
            {
                result.Should().Be(0);
                ended.Add(tag).Should().BeTrue();
            });
            ring.Outstanding.Should().Be(0);
        }

        ended.Should().HaveCount(6400);
    }

    [Fact]
    public void Reads_and_writes_a_file()
    {
        string path = Path.GetTempFileName();
        try
        {
            using IoUring ring = Create(8);
            DescriptorIo.Open(path, Libc.O_RDWR, out FileDescriptor file).Should().Be(0);
            using (file)
            {
                byte* sent = stackalloc byte[512];
                byte* received = stackalloc byte[512];
                new Span<byte>(sent, 512).Fill(0x5a);
                Transfer(ring, file, Libc.IORING_OP_WRITE, sent).Should().Be(512);
                Transfer(ring, file, Libc.IORING_OP_READ, received).Should().Be(512);
                new ReadOnlySpan<byte>(received, 512).SequenceEqual(new ReadOnlySpan<byte>(sent, 512)).Should().BeTrue();
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_failure_is_a_negative_error_number()
    {
        using IoUring ring = Create(1);
        ring.TryAdd(out Libc.io_uring_sqe* entry).Should().BeTrue();
        entry->opcode = Libc.IORING_OP_FSYNC;
        entry->fd = -1;
        ring.Submit().Should().Be(0);
        TakeAll(ring, (_, result) => result.Should().Be(-Errno.EBADF));
    }

    [Fact]
    public void The_kernels_threads_can_be_limited()
    {
        using IoUring ring = Create(8);
        ring.LimitThreads(64).Should().BeOneOf(0, Errno.EINVAL);
        FluentActions.Invoking(() => ring.LimitThreads(0)).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void A_size_out_of_range_is_refused()
    {
        FluentActions.Invoking(() => IoUring.TryCreate(0, out _)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => IoUring.TryCreate(IoUring.MaximumEntries + 1, out _)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static IoUring Create(int entries)
    {
        IoUring.TryCreate(entries, out IoUring? ring).Should().Be(0);
        ring!.Capacity.Should().BeGreaterThanOrEqualTo(entries);
        return ring;
    }

    private static int Transfer(IoUring ring, FileDescriptor file, byte operation, byte* buffer)
    {
        ring.TryAdd(out Libc.io_uring_sqe* entry).Should().BeTrue();
        entry->opcode = operation;
        entry->fd = file.Number;
        entry->off = 4096;
        entry->addr = (ulong)buffer;
        entry->len = 512;
        ring.Submit().Should().Be(0);
        int transferred = 0;
        TakeAll(ring, (_, result) => transferred = result);
        return transferred;
    }

    private static void TakeAll(IoUring ring, Action<ulong, int> onEnd)
    {
        while (ring.Outstanding > 0)
        {
            ring.Wait().Should().Be(0);
            while (ring.TryTake(out ulong tag, out int result))
            {
                onEnd(tag, result);
            }
        }
    }
}
