using System;
using System.Collections.Generic;
using System.IO;
using Iced.Intel;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

/// <summary>A machine for tiny guests: 640 KiB of RAM at 0, code at 0x1000, and a port that ends the run.</summary>
/// <remarks>
/// Low memory: GDT at 0x500 (0x08 code, 0x10 data, 0x18 64-bit code), IDT at 0x800, page tables at 0x10000 (identity, 4 GiB of 2 MiB pages),
/// code at 0x1000, data from 0x20000, stack below 0x80000.
/// </remarks>
internal sealed class TestMachine : IDisposable
{
    public const ulong RamSize = 0xA_0000;
    public const ulong CodeAddress = 0x1000;
    public const ulong DataAddress = 0x2_0000;
    public const ushort ExitPort = 0xF4;
    private const ulong Gdt = 0x500;
    private const ulong Idt = 0x800;
    private const ulong PageTables = 0x1_0000;
    private static readonly TimeSpan Patience = KvmAvailability.Patience(20);

    private readonly KvmSystem _system;
    private readonly ExitHandler _exit;

    public TestMachine(
        int vcpus = 1, bool interruptController = false, ILoggerFactory? loggerFactory = null, IDoorbells? doorbells = null, int firstId = 0)
    {
        _system = KvmSystem.Open();
        Machine = _system.CreateVirtualMachine(new KvmVirtualMachineOptions { InterruptController = interruptController }, loggerFactory);
        var domain = new AccessDomain();
        IUnclaimedAccessSink? sink = loggerFactory is null ? null : new VcpuUnclaimedAccessLogger(loggerFactory);
        Memory = new AddressSpace(new AddressSpaceOptions
        {
            Name = "memory",
            Domain = domain,
            MemorySlots = Machine.MemorySlots,
            Doorbells = doorbells ?? Machine.Doorbells,
            UnclaimedSink = sink,
            LoggerFactory = loggerFactory,
        });
        Ports = new AddressSpace(new AddressSpaceOptions
        {
            Kind = AddressSpaceKind.Port,
            Name = "ports",
            Domain = domain,
            Doorbells = doorbells ?? Machine.Doorbells,
            UnclaimedSink = sink,
            LoggerFactory = loggerFactory,
        });
        Ram = HostMemory.AllocateAnonymous(RamSize);
        Memory.Add(new MemoryClaim("ram", Ram, 0, RamSize), 0);
        _exit = new ExitHandler(this);
        Ports.Add(new HandlerClaim("exit", 4, _exit), ExitPort);
        for (int i = 0; i < vcpus; i++)
        {
            Machine.CreateVcpu(firstId + i);
        }

        Group = new VcpuGroup(Machine.Vcpus, Memory, Ports, loggerFactory);
    }

    public KvmVirtualMachine Machine { get; }

    public AddressSpace Memory { get; }

    public AddressSpace Ports { get; }

    public HostMemory Ram { get; }

    public VcpuGroup Group { get; }

    /// <summary>What the guests wrote to the exit port.</summary>
    public IReadOnlyList<uint> ExitCodes => _exit.Codes;

    /// <summary>How many vCPUs must write the exit port before the run ends.</summary>
    public int ExitsWanted { get; set; } = 1;

    /// <summary>Guest RAM as bytes.</summary>
    public unsafe Span<byte> Bytes => new(Ram.Pointer, (int)RamSize);

    public uint ReadUInt32(ulong address) => BitConverter.ToUInt32(Bytes[(int)address..]);

    public ulong ReadUInt64(ulong address) => BitConverter.ToUInt64(Bytes[(int)address..]);

    public void Claim(ulong address, ulong length, IRegionHandler handler, int priority = 0)
    {
        Memory.Add(new HandlerClaim($"device {address:X}", length, handler, priority), address);
    }

    public void ClaimPorts(ulong address, ulong length, IRegionHandler handler)
    {
        Ports.Add(new HandlerClaim($"ports {address:X}", length, handler), address);
    }

    /// <summary>Code for every vCPU, or for one.</summary>
    public void Load(int bits, Action<Assembler> program, ulong address = CodeAddress, int? vcpu = null)
    {
        Assemble(bits, program, address);
        for (int i = 0; i < Machine.Vcpus.Count; i++)
        {
            if (vcpu is null || vcpu == i)
            {
                Prepare(Machine.Vcpus[i], bits, address);
            }
        }
    }

    /// <summary>Code without a vCPU that starts there.</summary>
    public void Assemble(int bits, Action<Assembler> program, ulong address)
    {
        var assembler = new Assembler(bits);
        program(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        stream.ToArray().CopyTo(Bytes[(int)address..]);
    }

    /// <summary>A 32-bit interrupt gate.</summary>
    public void SetInterruptHandler(byte vector, ulong handler)
    {
        ulong gate = (handler & 0xFFFF) | (0x08UL << 16) | (0x8E00UL << 32) | ((handler >> 16) << 48);
        BitConverter.TryWriteBytes(Bytes[(int)(Idt + (8u * vector))..], gate).Should().BeTrue();
    }

    /// <summary>Runs until the guest or somebody else ends it.</summary>
    public VmStopReason Run()
    {
        Group.Start();
        return Wait();
    }

    public VmStopReason Wait()
    {
        if (!Group.Completion.Wait(Patience))
        {
            Group.Pause();
            string state = string.Join("\n", System.Linq.Enumerable.Select(Machine.Vcpus, VcpuDump.Describe));
            Group.Stop();
            throw new TimeoutException($"the guest did not end in {Patience.TotalSeconds} s:\n{state}");
        }

        return Group.Completion.Result;
    }

    public void Dispose()
    {
        Group.Dispose();
        Machine.Dispose();
        Ram.Dispose();
        _system.Dispose();
    }

    private void Prepare(KvmVcpu vcpu, int bits, ulong address)
    {
        VcpuSpecialRegisters special = vcpu.GetSpecialRegisters();
        if (bits == 16)
        {
            var data = VcpuSegment.RealMode(0);
            special = special with { Cs = VcpuSegment.RealMode(0, code: true), Ds = data, Es = data, Ss = data, Fs = data, Gs = data };
        }
        else
        {
            BuildTables();
            var data = VcpuSegment.Data(0x10);
            special = special with
            {
                Cs = bits == 64 ? VcpuSegment.Code64(0x18) : VcpuSegment.Code32(0x08),
                Ds = data,
                Es = data,
                Ss = data,
                Fs = data,
                Gs = data,
                Gdt = new VcpuDescriptorTable(Gdt, 0x1F),
                Idt = new VcpuDescriptorTable(Idt, 0x7FF),
                Cr0 = special.Cr0 | 1,
            };
            if (bits == 64)
            {
                special = special with { Cr0 = 0x8000_0033, Cr3 = PageTables, Cr4 = 0x620, Efer = 0x500 };
            }
        }

        vcpu.SetSpecialRegisters(special);
        vcpu.SetRegisters(new VcpuRegisters { Rip = address, Rflags = 2, Rsp = 0x8_0000 - (0x2000UL * (ulong)(vcpu.Id % 16)) });
        if (bits == 16)
        {
            vcpu.SetRegisters(new VcpuRegisters { Rip = address, Rflags = 2, Rsp = 0xF000 });
        }

        if (Machine.Options.InterruptController)
        {
            vcpu.MpState = VcpuMpState.Runnable;
        }
    }

    private void BuildTables()
    {
        ulong[] descriptors = [0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00AF_9B00_0000_FFFF];
        for (int i = 0; i < descriptors.Length; i++)
        {
            BitConverter.TryWriteBytes(Bytes[((int)Gdt + (8 * i))..], descriptors[i]).Should().BeTrue();
        }

        // PML4, one PDPT, four page directories of 2 MiB pages.
        WriteEntry(PageTables, 0, PageTables + 0x1000 + 3);
        for (ulong i = 0; i < 4; i++)
        {
            WriteEntry(PageTables + 0x1000, i, PageTables + 0x2000 + (i * 0x1000) + 3);
        }

        for (ulong i = 0; i < 2048; i++)
        {
            WriteEntry(PageTables + 0x2000, i, (i << 21) | 0x83);
        }
    }

    private void WriteEntry(ulong table, ulong index, ulong value)
    {
        BitConverter.TryWriteBytes(Bytes[(int)(table + (8 * index))..], value).Should().BeTrue();
    }

    private sealed class ExitHandler(TestMachine machine) : IRegionHandler
    {
        private readonly List<uint> _codes = [];

        public IReadOnlyList<uint> Codes
        {
            get
            {
                lock (_codes)
                {
                    return [.. _codes];
                }
            }
        }

        public ulong Read(ulong offset, int width) => ulong.MaxValue;

        public void Write(ulong offset, int width, ulong value)
        {
            bool enough;
            lock (_codes)
            {
                _codes.Add((uint)value);
                enough = _codes.Count >= machine.ExitsWanted;
            }

            if (enough)
            {
                machine.Group.RequestStop(VmStopReason.PowerOff);
            }
        }
    }
}
