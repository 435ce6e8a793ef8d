using System;
using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Interrupts;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>A virtual machine of the hypervisor: memory slots, doorbells, interrupts, vCPUs.</summary>
/// <remarks>
/// Thread-safe. Everything registered is one disposable that removes exactly itself (KVM-6). Disposing the machine closes its vCPUs, none of
/// which may be running, and with them every registration that is left; disposing those later is harmless.
/// </remarks>
public sealed class KvmVirtualMachine : IHypervisor, IDisposable
{
    private readonly FileDescriptor _descriptor;
    private readonly int _vcpuMapSize;
    private readonly List<KvmVcpu> _vcpus = [];
    private readonly Lock _lock = new();
    private bool _disposed;

    private KvmVirtualMachine(FileDescriptor descriptor, KvmSystem system, KvmVirtualMachineOptions options, ILoggerFactory? loggerFactory)
    {
        _descriptor = descriptor;
        _vcpuMapSize = system.VcpuMapSize;
        Options = options;
        MaxVcpus = system.MaxVcpus;
        ILogger logger = GuardedLogger.Create(loggerFactory, "Vmm.Kvm");
        var calls = new VmCalls(descriptor);
        int slots = system.CheckExtension(KvmCapability.MemorySlots);
        MemorySlots = new KvmMemorySlots(calls, slots > 0 ? slots : 32, system.CheckExtension(KvmCapability.ReadOnlyMemory) > 0, logger);
        Doorbells = new KvmDoorbells(calls, logger);
        Msi = new KvmMsiSink(calls);
        IrqRouting = new KvmIrqRouting(calls, system.CheckExtension(KvmCapability.IrqRouting), options.InterruptController, logger);
        InterruptLines = new KvmInterruptLines(calls, logger);
        HostDeviceFiles = new KvmHostDeviceFiles(calls, logger);
    }

    /// <summary>What the machine was made with.</summary>
    public KvmVirtualMachineOptions Options { get; }

    /// <summary>How many vCPUs the machine can have (KVM_CAP_MAX_VCPUS).</summary>
    public int MaxVcpus { get; }

    /// <summary>Guest RAM and ROM.</summary>
    public KvmMemorySlots MemorySlots { get; }

    /// <summary>Writes that signal eventfds.</summary>
    public KvmDoorbells Doorbells { get; }

    /// <summary>Messages from emulated devices.</summary>
    public KvmMsiSink Msi { get; }

    /// <summary>Eventfds that become messages.</summary>
    public KvmIrqRouting IrqRouting { get; }

    /// <summary>Wires of the PICs and the I/O APIC.</summary>
    public KvmInterruptLines InterruptLines { get; }

    /// <summary>Devices of the host that the machine has.</summary>
    public KvmHostDeviceFiles HostDeviceFiles { get; }

    IMemorySlots IHypervisor.MemorySlots => MemorySlots;

    IDoorbells IHypervisor.Doorbells => Doorbells;

    IMsiSink IHypervisor.Msi => Msi;

    IIrqRouting IHypervisor.IrqRouting => IrqRouting;

    IInterruptLines IHypervisor.InterruptLines => InterruptLines;

    IHostDeviceFiles IHypervisor.HostDeviceFiles => HostDeviceFiles;

    /// <summary>The vCPUs, in order of making.</summary>
    public IReadOnlyList<KvmVcpu> Vcpus
    {
        get
        {
            lock (_lock)
            {
                return [.. _vcpus];
            }
        }
    }

    /// <summary>What is in use now.</summary>
    public KvmResourceCounts Counts =>
        new(MemorySlots.Count, Doorbells.Count, IrqRouting.RouteCount, IrqRouting.ArmedCount + InterruptLines.ConnectionCount);

    /// <summary>Makes a vCPU. With interrupt controllers, all but id 0 wait for the guest to start them.</summary>
    /// <param name="id">Its id, which is its initial local APIC id too.</param>
    /// <exception cref="HostException">The kernel refused; the message names the limit if one was hit.</exception>
    public KvmVcpu CreateVcpu(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_vcpus.Count >= MaxVcpus)
            {
                throw new HostException("KVM_CREATE_VCPU", Errno.EINVAL, $"all {MaxVcpus} vCPUs of a machine exist (the limit is KVM_CAP_MAX_VCPUS)");
            }

            int raw = KvmCall.Do(
                _descriptor, KvmRequests.KVM_CREATE_VCPU, (nuint)id, "KVM_CREATE_VCPU", $"creating vCPU {id} (at most {MaxVcpus} in a machine)");
            var vcpu = KvmVcpu.Create(new FileDescriptor(raw), id, _vcpuMapSize, this);
            _vcpus.Add(vcpu);
            return vcpu;
        }
    }

    /// <summary>
    /// Gives every vCPU a non-maskable interrupt, without taking one out of the guest first: a message to all local APICs with the delivery mode NMI
    /// (Intel SDM volume 3, 11.11). From any thread. A vCPU that the guest has not started yet, and starts later, gets none.
    /// </summary>
    /// <returns>False if nobody took it: there are no interrupt controllers, or the machine is gone.</returns>
    public bool InjectNmi()
    {
        const ulong Everybody = 0xFEE0_0000 | (0xFF << 12);
        const uint NonMaskable = 4 << 8;
        return Msi.Send(new MsiMessage(Everybody, NonMaskable), requesterId: 0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            foreach (KvmVcpu vcpu in _vcpus)
            {
                vcpu.Dispose();
            }

            _disposed = true;
        }

        HostDeviceFiles.Dispose();
        _descriptor.Dispose();
    }

    internal static unsafe KvmVirtualMachine Initialize(
        FileDescriptor descriptor, KvmSystem system, KvmVirtualMachineOptions options, ILoggerFactory? loggerFactory)
    {
        try
        {
            // Intel hosts need both before the first vCPU; elsewhere they mean nothing.
            ulong identityMap = options.IdentityMapAddress;
            KvmCall.Do(descriptor, KvmRequests.KVM_SET_IDENTITY_MAP_ADDR, &identityMap, "KVM_SET_IDENTITY_MAP_ADDR", $"0x{identityMap:X}");
            KvmCall.Do(descriptor, KvmRequests.KVM_SET_TSS_ADDR, (nuint)options.TssAddress, "KVM_SET_TSS_ADDR", $"0x{options.TssAddress:X}");
            if (options.InterruptController)
            {
                KvmCall.Do(descriptor, KvmRequests.KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP", "creating the interrupt controllers");
                if (options.IntervalTimer)
                {
                    var pit = new kvm_pit_config { flags = KvmConstants.KVM_PIT_SPEAKER_DUMMY };
                    KvmCall.Do(descriptor, KvmRequests.KVM_CREATE_PIT2, &pit, "KVM_CREATE_PIT2", "creating the interval timer");
                }
            }

            return new KvmVirtualMachine(descriptor, system, options, loggerFactory);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }
}
