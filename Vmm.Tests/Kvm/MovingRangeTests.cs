using System.Threading;
using Iced.Intel;
using Vmm.DeviceModel.Bus;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>Ranges that move under vCPUs that hammer them.</summary>
[Trait("Category", "Long")]
public sealed class MovingRangeTests
{
    private const uint Low = 0xD000_0000;
    private const uint High = 0xD010_0000;
    private const ulong StopFlag = TestMachine.DataAddress;
    private static readonly int Moves = KvmAvailability.Rounds(100_000, 1000);
    private static readonly int Removals = KvmAvailability.Rounds(5000, 300);

    [KvmFact]
    [Trait("Behaviour", "BUS-5")]
    [Trait("Behaviour", "BUS-6")]
    [Trait("Behaviour", "BUS-11")]
    public void Two_vcpus_hammer_ranges_that_change_places_and_never_see_neither()
    {
        using var machine = new TestMachine(2) { ExitsWanted = 2 };
        var first = new Device(0x1111_1111);
        var second = new Device(0x2222_2222);
        var a = new HandlerClaim("first", 0x1000, first);
        var b = new HandlerClaim("second", 0x1000, second);
        AddressSpaceTransaction transaction = machine.Memory.BeginTransaction();
        transaction.Add(a, Low);
        transaction.Add(b, High);
        transaction.Commit();

        machine.Load(32, asm => Hammer(asm));
        machine.Group.Start();
        SpinWait.SpinUntil(() => first.Accesses + second.Accesses > 100, KvmAvailability.Patience(20)).Should().BeTrue();
        for (int i = 0; i < Moves; i++)
        {
            AddressSpaceTransaction swap = machine.Memory.BeginTransaction();
            swap.Move(a, i % 2 == 0 ? High : Low);
            swap.Move(b, i % 2 == 0 ? Low : High);
            swap.Commit();
        }

        Stop(machine);
        machine.ExitCodes.Should().Equal([0, 0], "every access saw one of the two devices");
        (first.Accesses + second.Accesses).Should().BeGreaterThan(1000);
        (first.Outside + second.Outside).Should().Be(0);
        machine.Memory.UnclaimedCounters.Reads.Should().Be(0);
        machine.Memory.UnclaimedCounters.Writes.Should().Be(0);
    }

    [KvmFact]
    [Trait("Behaviour", "BUS-6")]
    [Trait("Behaviour", "BUS-11")]
    public void A_removed_device_is_never_called_again()
    {
        using var machine = new TestMachine(2) { ExitsWanted = 2 };
        machine.Claim(Low, 0x1000, new Device(0x3333_3333), ClaimPriority.Background);
        machine.Claim(High, 0x1000, new Device(0x3333_3333), ClaimPriority.Background);
        machine.Load(32, asm => Hammer(asm));
        machine.Group.Start();
        for (int i = 0; i < Removals; i++)
        {
            var device = new Device(0x1111_1111);
            var claim = new HandlerClaim("short-lived", 0x1000, device);
            machine.Memory.Add(claim, i % 2 == 0 ? Low : High);
            machine.Memory.Remove(claim);
            device.Gone = true;
            device.Late.Should().Be(0);
        }

        Stop(machine);
        machine.ExitCodes.Should().Equal([0, 0]);
    }

    /// <summary>Reads and writes both places until told to stop; ends with 1 if a read gave all-ones.</summary>
    private static void Hammer(Assembler a)
    {
        Label again = a.CreateLabel();
        Label bad = a.CreateLabel();
        Label stop = a.CreateLabel();
        a.mov(esi, Low);
        a.mov(edi, High);
        a.Label(ref again);
        a.mov(eax, __dword_ptr[esi + 0x10]);
        a.cmp(eax, -1);
        a.je(bad);
        a.mov(__dword_ptr[edi + 0x14], eax);
        a.mov(eax, __dword_ptr[edi + 0xFF8]);
        a.cmp(eax, -1);
        a.je(bad);
        a.cmp(__dword_ptr[(uint)StopFlag], 0);
        a.je(again);
        a.xor(eax, eax);
        a.jmp(stop);
        a.Label(ref bad);
        a.mov(eax, 1);
        a.Label(ref stop);
        a.@out((byte)TestMachine.ExitPort, eax);
        Label end = a.CreateLabel();
        a.Label(ref end);
        a.jmp(end);
    }

    private static void Stop(TestMachine machine)
    {
        machine.Bytes[(int)StopFlag] = 1;
        machine.Wait().Kind.Should().Be(VmStopKind.PowerOff);
    }

    private sealed class Device(ulong value) : IRegionHandler
    {
        private long _accesses;
        private long _outside;
        private long _late;
        private volatile bool _gone;

        public long Accesses => Interlocked.Read(ref _accesses);

        public long Outside => Interlocked.Read(ref _outside);

        public long Late => Interlocked.Read(ref _late);

        public bool Gone
        {
            set => _gone = value;
        }

        public ulong Read(ulong offset, int width)
        {
            Count(offset, width);
            return value;
        }

        public void Write(ulong offset, int width, ulong written) => Count(offset, width);

        private void Count(ulong offset, int width)
        {
            Interlocked.Increment(ref _accesses);
            if (offset is not (0x10 or 0x14 or 0xFF8) || width != 4)
            {
                Interlocked.Increment(ref _outside);
            }

            if (_gone)
            {
                Interlocked.Increment(ref _late);
            }
        }
    }
}
