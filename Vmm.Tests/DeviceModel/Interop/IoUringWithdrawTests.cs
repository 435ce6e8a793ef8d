using Vmm.DeviceModel.Interop;
using Vmm.Tests.Virtio.Devices;

namespace Vmm.Tests.DeviceModel.Interop;

public sealed unsafe class IoUringWithdrawTests
{
    [RingFact]
    public void What_was_not_submitted_is_taken_back_the_latest_first()
    {
        IoUring.TryCreate(4, out IoUring? ring).Should().Be(0);
        using (ring)
        {
            for (ulong tag = 1; tag <= 4; tag++)
            {
                ring!.TryAdd(out Libc.io_uring_sqe* entry).Should().BeTrue();
                entry->opcode = Libc.IORING_OP_NOP;
                entry->user_data = tag;
            }

            ring!.TryAdd(out _).Should().BeFalse("it is full");
            ring.TryWithdraw(out ulong latest).Should().BeTrue();
            latest.Should().Be(4);
            ring.TryWithdraw(out latest).Should().BeTrue();
            latest.Should().Be(3);
            ring.Outstanding.Should().Be(2);

            ring.Submit().Should().Be(0);
            ring.TryWithdraw(out _).Should().BeFalse("they have begun");
            ring.TryTake(out ulong first, out int result).Should().BeTrue();
            ring.TryTake(out ulong second, out _).Should().BeTrue();
            ring.TryTake(out _, out _).Should().BeFalse();
            (first, second, result).Should().Be((1UL, 2UL, 0));
            ring.Outstanding.Should().Be(0);

            ring.TryAdd(out Libc.io_uring_sqe* another).Should().BeTrue("there is room again");
            another->user_data = 5;
            ring.Submit().Should().Be(0);
            ring.TryTake(out first, out _).Should().BeTrue();
            first.Should().Be(5);
        }
    }
}
