using System;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>Nothing that is done to one function waits for the host I/O of another.</summary>
public sealed class IndependenceTests
{
    private const ulong DiskBar = 0xe100_0000;

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    // The limit of a stop is 100 ms; the machine may be busy.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    [Trait("Behaviour", "PCI-6")]
    public async Task A_disk_that_is_stuck_holds_up_no_other_function()
    {
        using var gate = new ManualResetEventSlim();
        var backend = new GatedBlockBackend(() => gate.Wait(Long));
        using var rig = new TransportRig();
        using var other = new VirtioPciFunction(new FakeVirtioDevice(), new DmaTarget(rig.Ram));
        rig.Bridge.Root.Add(other, 5);
        rig.Driver.Start(queues: [0, 1]);
        StartDisk(rig, backend, requests: 3);
        try
        {
            // Each of them waits for what the bus has in flight, and the disk's worker is not part of that.
            await Task.Run(() => rig.Driver.WriteConfig(0x10, 4, 0xe200_0000)).WaitAsync(Long);
            rig.Driver.Place(0xe200_0000);
            await Task.Run(() => rig.Driver.Status = 0).WaitAsync(Long);
            rig.Driver.Status.Should().Be(0);
            await Task.Run(() => rig.Bridge.Root.Remove(other)).WaitAsync(Long);

            backend.Calls.Should().Be(1, "the disk is still in its first request");
            gate.IsSet.Should().BeFalse();
        }
        finally
        {
            gate.Set();
        }
    }

    [Fact]
    [Trait("Behaviour", "CON-2")]
    [Trait("Behaviour", "CON-3")]
    public async Task A_disk_that_is_stuck_in_a_call_is_reset_moved_and_unplugged()
    {
        using var gate = new ManualResetEventSlim();
        using var rig = new TransportRig();
        TestDriver disk = StartDisk(rig, new GatedBlockBackend(() => gate.Wait(Long)), requests: 3);
        await TakesItsLeave(rig, disk, gate.Set);
    }

    [Fact]
    [Trait("Behaviour", "CON-2")]
    [Trait("Behaviour", "CON-3")]
    public async Task A_disk_whose_requests_do_not_end_is_reset_moved_and_unplugged()
    {
        var backend = new HeldBlockBackend();
        using var rig = new TransportRig();
        TestDriver disk = StartDisk(rig, backend, requests: 1, () => backend.WaitArrived(1));
        await TakesItsLeave(
            rig,
            disk,
            () =>
            {
                backend.Held.TryDequeue(out BlockRequest? request).Should().BeTrue();
                request!.Complete(BlockStatus.Ok);
            });
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public void A_reset_runs_no_more_of_the_requests_that_were_posted()
    {
        var backend = new GatedBlockBackend(() => Thread.Sleep(30));
        using var rig = new TransportRig();
        TestDriver disk = StartDisk(rig, backend, requests: 100);

        int before = backend.Calls;
        disk.Status = 0;

        disk.Status.Should().Be(0);
        rig.Doorbells.Addresses.Should().BeEmpty();

        // One is in hand; on a busy machine this thread may be late by a few.
        (backend.Calls - before).Should().BeLessThan(10);
    }

    /// <summary>Each step done to a disk with a request in flight returns; the request's memory stays until it ends, and its ring is not written.</summary>
    private static async Task TakesItsLeave(TransportRig rig, TestDriver disk, Action end)
    {
        GuestMemoryRegion ram = rig.Ram.Current.Regions[0];
        rig.Ram.PinLimit = TimeSpan.FromMilliseconds(20);
        await Task.Run(() => disk.Place(0xe300_0000)).WaitAsync(Soon);
        await Task.Run(() => disk.Status = 0).WaitAsync(Soon);
        disk.Status.Should().Be(0);
        disk.Negotiate().Should().BeTrue();
        disk.SetUpQueue(0, size: 256);
        disk.Status = 0xf;
        await Task.Run(() => disk.Status = 0).WaitAsync(Soon);
        await Task.Run(() => rig.RemoveFunction(rig.Functions[^1])).WaitAsync(Soon);

        ram.PinCount.Should().Be(1);
        rig.Ram.Invoking(r => r.Remove(ram)).Should().Throw<PinnedMemoryException>();
        end();
        SpinWait.SpinUntil(() => ram.PinCount == 0, Long).Should().BeTrue("the request has ended");
        rig.Ram.TryReadUInt16(TestDriver.Areas(0).Device + 2, out ushort used).Should().BeTrue();
        used.Should().Be(0, "what it completes is dropped");
    }

    /// <summary>A disk in slot 2 with requests of one sector posted and the first of them under way.</summary>
    private static TestDriver StartDisk(TransportRig rig, GatedBlockBackend backend, int requests) =>
        StartDisk(rig, backend, requests, () => backend.Entered.Wait(Long).Should().BeTrue());

    private static TestDriver StartDisk(TransportRig rig, IBlockBackend backend, int requests, Action waitUntilUnderWay)
    {
        rig.AddFunction(new BlockDevice(backend), slot: 2);
        var driver = new TestDriver(rig.Memory, TransportRig.EcamBase + (2 << 15));
        driver.Place(DiskBar);
        driver.Negotiate().Should().BeTrue();
        driver.SetUpQueue(0, size: 256);
        (ulong descriptors, ulong available, _) = TestDriver.Areas(0);
        const ulong Header = 0x8_0000;
        Write(rig, Header, 1u);
        Write(rig, Header + 8, 0UL);
        SetDescriptor(rig, descriptors, (Header, 16, 1, 1));
        SetDescriptor(rig, descriptors + 16, (Header + 0x1000, 512, 1, 2));
        SetDescriptor(rig, descriptors + 32, (Header + 0x2000, 1, 2, 0));
        for (int i = 0; i < requests; i++)
        {
            Write(rig, available + 4 + (2UL * (uint)i), (ushort)0);
        }

        Write(rig, available + 2, (ushort)requests);
        driver.Status = 0xf;
        driver.Notify(0);
        waitUntilUnderWay();
        return driver;
    }

    private static void SetDescriptor(TransportRig rig, ulong at, (ulong Address, uint Length, ushort Flags, ushort Next) value)
    {
        Write(rig, at, value.Address);
        Write(rig, at + 8, value.Length);
        Write(rig, at + 12, value.Flags);
        Write(rig, at + 14, value.Next);
    }

    private static void Write<T>(TransportRig rig, ulong address, T value)
        where T : unmanaged
    {
        rig.Ram.TryWrite(address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value))).Should().BeTrue();
    }
}
