using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>Doorbells of a guest: through the kernel, and through the handler where the kernel has none.</summary>
[Trait("Behaviour", "KVM-7")]
public sealed class DoorbellDeliveryTests
{
    private const uint Device = 0xD000_0000;
    private const ushort Port = 0x300;

    [KvmFact]
    public void Writes_of_any_width_ring_without_reaching_the_handler()
    {
        using var machine = new TestMachine();
        using var bell = new EventFd();
        var device = new RecordingDevice();
        Claim(machine.Memory, Device, device, bell, 0x10, null);
        machine.Load(32, a =>
        {
            a.mov(edi, Device);
            a.mov(__byte_ptr[edi + 0x10], 1);
            a.mov(__word_ptr[edi + 0x10], 2);
            a.mov(__dword_ptr[edi + 0x10], 3);
            a.mov(__dword_ptr[edi + 0x14], 4);
            a.mov(eax, __dword_ptr[edi + 0x10]);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        bell.TryConsume(out ulong rings).Should().BeTrue();
        rings.Should().Be(3);
        device.Log.Should().Equal("W4 14=4", "R4 10");
    }

    [KvmFact]
    public void Port_writes_ring_and_a_value_to_match_is_matched()
    {
        using var machine = new TestMachine();
        using var bell = new EventFd();
        using var matching = new EventFd();
        var device = new RecordingDevice();
        Claim(machine.Ports, Port, device, bell, 0, null);
        var other = new RecordingDevice();
        Claim(machine.Ports, Port + 0x20, other, matching, 0, 7);
        machine.Load(32, a =>
        {
            a.mov(edx, Port);
            a.@out(dx, al);
            a.@out(dx, ax);
            a.mov(edx, Port + 0x20);
            a.mov(eax, 7);
            a.@out(dx, ax);
            a.mov(eax, 8);
            a.@out(dx, ax);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        bell.TryConsume(out ulong rings).Should().BeTrue();
        rings.Should().Be(2);
        device.Log.Should().BeEmpty();
        matching.TryConsume(out ulong matches).Should().BeTrue();
        matches.Should().Be(1);
        other.Log.Should().Equal("W2 0=8");
    }

    [KvmFact]
    public void Without_the_kernels_doorbells_the_writes_reach_the_handler()
    {
        using var machine = new TestMachine(1, doorbells: new NoDoorbells());
        using var bell = new EventFd();
        var device = new RecordingDevice();
        Claim(machine.Memory, Device, device, bell, 0x10, null);
        machine.Load(32, a =>
        {
            a.mov(edi, Device);
            a.mov(__word_ptr[edi + 0x10], 2);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        device.Log.Should().Equal("W2 10=2");
        bell.TryConsume(out _).Should().BeFalse();
    }

    [KvmFact]
    public void A_doorbell_moves_with_its_range_and_goes_with_it()
    {
        using var machine = new TestMachine();
        using var bell = new EventFd();
        var device = new RecordingDevice();
        HandlerClaim claim = Claim(machine.Memory, Device, device, bell, 0x10, null);
        machine.ClaimPorts(Port, 4, new MovingDevice(machine.Memory, claim));
        machine.Load(32, a =>
        {
            // Port writes: 1 moves the range up by a MiB, 2 removes it.
            a.mov(edi, Device);
            a.mov(edx, Port);
            a.mov(__word_ptr[edi + 0x10], 1);
            a.mov(eax, 1);
            a.@out(dx, eax);
            a.mov(__word_ptr[edi + 0x10], 2);
            a.mov(__word_ptr[edi + 0x10_0010], 3);
            a.mov(eax, 2);
            a.@out(dx, eax);
            a.mov(__word_ptr[edi + 0x10_0010], 4);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        bell.TryConsume(out ulong rings).Should().BeTrue();
        rings.Should().Be(2);
        device.Log.Should().BeEmpty();
        machine.Memory.UnclaimedCounters.Writes.Should().Be(2);
        machine.Machine.Counts.Doorbells.Should().Be(0);
    }

    private static HandlerClaim Claim(AddressSpace space, ulong address, IRegionHandler device, EventFd bell, ulong offset, ulong? match)
    {
        var claim = new HandlerClaim("device", 0x20, device);
        AddressSpaceTransaction transaction = space.BeginTransaction();
        transaction.Add(claim, address);
        transaction.Add(new DoorbellClaim("doorbell", claim, offset, 2, bell, match));
        transaction.Commit();
        return claim;
    }

    private sealed class NoDoorbells : IDoorbells
    {
        public IDisposable Register(AddressSpaceKind kind, ulong address, int width, ulong? dataMatch, EventFd target)
        {
            throw new HostException("KVM_IOEVENTFD", 28, "this kernel has none");
        }
    }

    private sealed class MovingDevice(AddressSpace space, HandlerClaim claim) : IRegionHandler
    {
        public ulong Read(ulong offset, int width) => 0;

        public void Write(ulong offset, int width, ulong value)
        {
            space.Domain.RunAfterAccess(() =>
            {
                AddressSpaceTransaction transaction = space.BeginTransaction();
                if (value == 1)
                {
                    transaction.Move(claim, claim.Base + 0x10_0000);
                }
                else
                {
                    transaction.Remove(claim);
                }

                transaction.Commit();
            });
        }
    }
}
