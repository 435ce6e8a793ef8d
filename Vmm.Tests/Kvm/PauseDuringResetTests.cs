using System;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO;
using System.IO.Pipes;
using System.Threading;
using Iced.Intel;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Host;
using Vmm.Tests.Fakes;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Transport;
using Xunit.Abstractions;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>
/// A vCPU that resets a device in the middle of long work can be paused, and the reset completes: the guest's ring cannot hold either up.
/// </summary>
[Trait("Behaviour", "KVM-2")]
[Trait("Behaviour", "VTP-7")]
public sealed class PauseDuringResetTests(ITestOutputHelper output)
{
    private const ulong Ecam = 0xb000_0000;
    private const ulong Bar = 0xe000_0000;
    private const ulong Flag = 0xd000_0000;
    private const ulong FarRam = 1UL << 32;
    private const ulong FarLength = 32 << 20;
    private const ulong Headers = 0x4_0000;
    private const ulong Tables = 0x5_0000;
    private const ushort Requests = 100;

    private static readonly TimeSpan Long = KvmAvailability.Patience(60);

    // What these limits exclude took seconds to minutes; a paused vCPU of an idle machine takes a millisecond.
    private static readonly TimeSpan PauseLimit = TimeSpan.FromSeconds(2);

    [KvmFact]
    public void With_slow_writes_posted()
    {
        var backend = new GatedBlockBackend(static () => Thread.Sleep(30));
        Run(new BlockDevice(backend), queue: 0, type: 1, pieces: 1, pieceLength: 512, writable: false, _ => backend.Entered.Wait(Long));
    }

    [KvmFact]
    public void With_requests_that_clear_4_GiB()
    {
        Run(
            new BlockDevice(new GatedBlockBackend(static () => { })), queue: 0, type: 77, pieces: 126, (uint)FarLength, writable: true,
            static far => SpinWait.SpinUntil(() => Marker(far) == 0, Long));
    }

    [KvmFact]
    public void With_console_output_that_nobody_reads()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        int descriptor = (int)pipe.ClientSafePipeHandle.DangerousGetHandle();
        Run(
            new ConsoleDevice(new DescriptorConsoleBackend(-1, descriptor)), queue: 1, type: 0, pieces: 1000, pieceLength: 4096, writable: false,
            _ => SpinWait.SpinUntil(() => !Vmm.DeviceModel.Interop.DescriptorIo.WaitWritable(descriptor, 0), Long));
    }

    [KvmFact]
    public void With_64_GiB_of_zeroes_to_write()
    {
        string path = $"/dev/shm/vmmdevices-test-{Guid.NewGuid():n}";
        using (FileStream made = File.Create(path))
        {
            made.SetLength(64L << 30);
        }

        try
        {
            Run(
                new BlockDevice(RawFileBackend.Open(path, readOnly: false)), queue: 0, type: 13, pieces: 32, pieceLength: 16, writable: false,
                _ => SpinWait.SpinUntil(() => TemporaryFile.Allocated(path) > 0, Long));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private void Run(VirtioDevice device, int queue, uint type, int pieces, uint pieceLength, bool writable, Func<HostMemory, bool> isBusy)
    {
        PauseOnce();
        using var machine = new TestMachine();
        using var far = HostMemory.AllocateAnonymous(FarLength);
        var memory = new GuestMemory();
        memory.Add(0, machine.Ram, 0, TestMachine.RamSize);
        memory.Add(FarRam, far, 0, FarLength);
        var bridge = new PciHostBridge(new PciHostBridgeOptions { Memory = machine.Memory, MsiSink = machine.Machine.Msi, EcamBase = Ecam });
        bridge.ClaimConfigurationAccess();
        using var function = new VirtioPciFunction(device, new DmaTarget(memory));
        bridge.Root.Add(function, 1);
        var driver = new TestDriver(machine.Memory, Ecam + (1 << 15));
        driver.Place(Bar);
        driver.Negotiate(TestDriver.Version1 | (1UL << 28) | (driver.OfferedFeatures() & (1UL << 14))).Should().BeTrue();
        driver.SetUpQueue(queue, size: 256);
        using var begun = new ManualResetEventSlim();
        machine.Claim(Flag, 4, new DelegateHandler(static (_, _) => 0, (_, _, _) => begun.Set()));
        machine.Load(32, a =>
        {
            a.mov(__dword_ptr[(uint)Flag], 1);
            a.mov(__byte_ptr[(uint)driver.Common + Vmm.Virtio.Spec.CommonConfigurationOffset.DeviceStatus], 0);
            a.mov(__dword_ptr[(uint)TestMachine.DataAddress], 1);
            Label spin = a.CreateLabel();
            a.Label(ref spin);
            a.pause();
            a.jmp(spin);
        });

        // After the code: the tables that it needs lie where the ring does.
        Post(machine, queue, type, pieces, pieceLength, writable);
        Marker(far) = 1;
        driver.Status = 0xf;
        driver.Notify(queue);
        isBusy(far).Should().BeTrue("the device must be at work");

        machine.Group.Start();
        begun.Wait(Long).Should().BeTrue();
        Thread.Sleep(2);
        var pause = Stopwatch.StartNew();
        machine.Group.Pause();
        pause.Stop();
        machine.Group.Resume();
        SpinWait.SpinUntil(() => machine.ReadUInt32(TestMachine.DataAddress) == 1, Long).Should().BeTrue("the reset completes");
        driver.Status.Should().Be(0);
        output.WriteLine($"pause: {pause.Elapsed.TotalMilliseconds:f1} ms");
        pause.Elapsed.Should().BeLessThan(PauseLimit);

        machine.Group.Stop();
        bridge.Root.Remove(function);
    }

    /// <summary>The first pause of a process is compiled as it runs, which is not what is measured.</summary>
    private static void PauseOnce()
    {
        using var machine = new TestMachine();
        machine.Load(32, a =>
        {
            Label spin = a.CreateLabel();
            a.Label(ref spin);
            a.pause();
            a.jmp(spin);
        });
        machine.Group.Start();
        machine.Group.Pause();
        machine.Group.Resume();
        machine.Group.Stop();
    }

    private static unsafe ref byte Marker(HostMemory memory) => ref *memory.Pointer;

    /// <summary>One request in an indirect table, made available many times.</summary>
    private static void Post(TestMachine machine, int queue, uint type, int pieces, uint pieceLength, bool writable)
    {
        (ulong descriptors, ulong available, _) = TestDriver.Areas(queue);
        Span<byte> ram = machine.Bytes;
        BinaryPrimitives.WriteUInt32LittleEndian(ram[(int)Headers..], type);
        int length = 0;
        SetDescriptor(ram, Tables, length++, (Headers, 16, false));
        for (int i = 0; i < pieces; i++)
        {
            ulong address = type == 13 ? Headers + 0x100 + (16UL * (uint)i) : FarRam;
            SetDescriptor(ram, Tables, length++, (address, pieceLength, writable));
            if (type == 13)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(ram[(int)address..], (ulong)i << 22);
                BinaryPrimitives.WriteUInt32LittleEndian(ram[((int)address + 8)..], 1 << 22);
            }
        }

        if (queue == 0)
        {
            SetDescriptor(ram, Tables, length++, (Headers + 0x1000, 1, true));
        }

        for (int i = 0; i < length; i++)
        {
            int at = (int)Tables + (16 * i);
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(ram[(at + 12)..]);
            BinaryPrimitives.WriteUInt16LittleEndian(ram[(at + 12)..], (ushort)(i + 1 < length ? flags | 1 : flags));
            BinaryPrimitives.WriteUInt16LittleEndian(ram[(at + 14)..], (ushort)(i + 1));
        }

        BinaryPrimitives.WriteUInt64LittleEndian(ram[(int)descriptors..], Tables);
        BinaryPrimitives.WriteUInt32LittleEndian(ram[((int)descriptors + 8)..], (uint)(16 * length));
        BinaryPrimitives.WriteUInt16LittleEndian(ram[((int)descriptors + 12)..], 4);
        for (int i = 0; i < Requests; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(ram[((int)available + 4 + (2 * i))..], 0);
        }

        BinaryPrimitives.WriteUInt16LittleEndian(ram[((int)available + 2)..], Requests);
    }

    private static void SetDescriptor(Span<byte> ram, ulong table, int index, (ulong Address, uint Length, bool IsWritable) value)
    {
        Span<byte> at = ram[((int)table + (16 * index))..];
        BinaryPrimitives.WriteUInt64LittleEndian(at, value.Address);
        BinaryPrimitives.WriteUInt32LittleEndian(at[8..], value.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(at[12..], value.IsWritable ? (ushort)2 : (ushort)0);
    }
}
