using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Runtime.ExceptionServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.State;
using Vmm.Kvm;
using Vmm.Machine.Acpi;
using Vmm.Machine.Boot;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Events;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;

namespace Vmm.Machine;

/// <summary>A small PC: x86-64 on KVM, PCI with virtio devices, started straight into a Linux kernel.</summary>
/// <remarks>
/// One run a machine: <see cref="Create"/>, <see cref="Start"/>, <see cref="WaitForExit"/>, <see cref="Dispose"/>. To restart after a reset, make a
/// new one. <see cref="RequestStop"/>, <see cref="Inspect"/>, <see cref="Devices"/>, <see cref="HotAdd"/> and
/// <see cref="HotRemoveAsync(string, System.Threading.CancellationToken)"/> may be called from any thread at any time, but not from inside a guest's
/// access; the other members from one thread.
/// </remarks>
public sealed partial class VirtualMachine : IDisposable
{
    private readonly ILogger _logger;
    private readonly Stack<IDisposable> _parts = new();
    private KvmVirtualMachine? _hypervisor;
    private MachineDevices? _devices;
    private MachineComponent? _component;
    private VcpuGroup? _vcpus;
    private VmStopReason? _early;
    private bool _disposed;

    private VirtualMachine(MachineOptions options)
    {
        Options = options;
        _logger = GuardedLogger.Create(options.LoggerFactory, "Vmm.Machine");
        PortSpace = null!;
        MemorySpace = null!;
        Layout = null!;
    }

    /// <summary>What it was built from.</summary>
    public MachineOptions Options { get; }

    /// <summary>Where everything lies.</summary>
    public MemoryLayout Layout { get; private set; }

    /// <summary>Guest-physical memory.</summary>
    public AddressSpace MemorySpace { get; private set; }

    /// <summary>Port I/O.</summary>
    public AddressSpace PortSpace { get; private set; }

    /// <summary>The PCI host bridge.</summary>
    public PciHostBridge HostBridge => _devices!.HostBridge;

    /// <summary>Completes when every vCPU has ended, with the first reason.</summary>
    internal Task<VmStopReason> VcpusEnded => _vcpus!.Completion;

    /// <summary>Builds a machine and loads its kernel; nothing runs yet.</summary>
    /// <param name="options">What to build.</param>
    /// <exception cref="MachineException">The host cannot give something, two devices have one id, or the kernel cannot be loaded; everything is undone.</exception>
    public static VirtualMachine Create(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.CpuCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.CpuCount, MachineLimits.Cpus);
        var machine = new VirtualMachine(options);
        try
        {
            machine.Build();
            return machine;
        }
        catch (HostException e)
        {
            machine.Dispose();
            throw new MachineException(MachineException.Whole, null, e.Message, e);
        }
        catch (PciResourceException e)
        {
            machine.Dispose();
            throw new MachineException(MachineException.Whole, null, e.Message, e);
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Names and values of the machine's devices as they are now, as a tree (<see cref="InspectionNode.ToText"/>, <see cref="InspectionNode.ToJson"/>):
    /// the PCI hierarchy with its functions, and the registers at fixed ports. From any thread at any time; nothing stops, and nothing changes for
    /// the guest.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The machine is disposed.</exception>
    public InspectionNode Inspect()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return ComponentTree.Inspect(_component!);
    }

    /// <summary>How often each vCPU has left the guest for something to handle; read without stopping anybody.</summary>
    public IReadOnlyList<long> VcpuExits => [.. _vcpus!.Loops.Select(static loop => loop.Exits)];

    /// <summary>Starts the vCPUs.</summary>
    /// <exception cref="MachineException">The host gives no threads.</exception>
    public void Start()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        try
        {
            _vcpus!.Start();
        }
        catch (HostException e)
        {
            throw new MachineException(MachineException.Whole, null, e.Message, e);
        }

        if (_logger.IsEnabled(LogLevel.Debug))
        {
            _logger.FirstInstruction(MachineClock.Milliseconds());
        }

        if (Volatile.Read(ref _early) is { } reason)
        {
            _vcpus.RequestStop(reason);
        }
    }

    /// <summary>Asks the machine to end, as if its plug was pulled after a flush; returns at once.</summary>
    public void RequestStop() => Stop(VmStopReason.Stopped);

    /// <summary>Waits until the machine has ended.</summary>
    /// <param name="cancellationToken">Ends the waiting, not the machine.</param>
    /// <returns>Why it ended.</returns>
    public MachineExit WaitForExit(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Task<VmStopReason> completion = _vcpus!.Completion;
        completion.Wait(cancellationToken);
        VmStopReason reason = completion.Result;
        _logger.Ended(reason.Message);
        string[] lines = reason.Message.Split('\n', 2, StringSplitOptions.TrimEntries);
        if (lines.Length > 1)
        {
            _logger.GuestDied(reason.Message);
        }

        return reason.Kind switch
        {
            VmStopKind.PowerOff => new MachineExit(MachineExitReason.PowerOff),
            VmStopKind.Reset => new MachineExit(MachineExitReason.Reset),
            VmStopKind.Stopped => new MachineExit(MachineExitReason.Stopped),
            VmStopKind.HostError => new MachineExit(MachineExitReason.HostFailed, lines[0]),
            _ => new MachineExit(MachineExitReason.GuestDied, lines[0]),
        };
    }

    /// <summary>Stops the vCPUs, drains and flushes the devices, and gives everything back.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        ExceptionDispatchInfo? first = null;
        while (_parts.TryPop(out IDisposable? part))
        {
            try
            {
                part.Dispose();
            }
            catch (Exception failure)
            {
                // What is left is given back all the same.
                first ??= ExceptionDispatchInfo.Capture(failure);
            }
        }

        first?.Throw();
    }

    private void Build()
    {
        KernelImage kernel = Keep(KernelImage.Open(Options.KernelPath));
        using var system = KvmSystem.Open();
        if (Options.CpuCount > system.MaxVcpus)
        {
            throw new MachineException("cpus", $"boot={Options.CpuCount}", $"this host's KVM runs at most {system.MaxVcpus} vCPUs in a machine");
        }

        HostMemoryLimit.Check(Options.Memory.Size);
        IReadOnlyList<CpuidEntry> cpuid = system.GetSupportedCpuid();
        Layout = MemoryLayout.Create(Options.Memory.Size, PhysicalAddressWidth.FromLeaf(AddressSizes(cpuid)));
        KvmVirtualMachine hypervisor = _hypervisor = Keep(system.CreateVirtualMachine(
            new KvmVirtualMachineOptions { IdentityMapAddress = MemoryLayout.KvmPrivate, TssAddress = MemoryLayout.KvmPrivate + 0x1000 },
            Options.LoggerFactory));
        CreateSpaces(hypervisor);
        Report("hypervisor");

        GuestMemory memory = Keep(new MachineMemory(Options.Memory, Layout, MemorySpace)).Guest;
        MachinePlatform platform = _platform = Keep(new MachinePlatform(Options, PortSpace, hypervisor.InterruptLines, Stop, _logger));
        Report("platform");

        _devices = Keep(new MachineDevices(Options, Layout, (MemorySpace, PortSpace), memory, hypervisor, Stop, _logger));
        _component = new MachineComponent(Options, _devices, platform);
        Report("devices");

        ulong rootPointer = AcpiTables.Write(memory, new AcpiOptions
        {
            Layout = Layout,
            CpuCount = Options.CpuCount,
            HasSerialPort = Options.Serial.Kind != CharacterKind.Off,
            RootPortSlots = [.. _devices.Slots.Ports.Select(static port => port.Address.Device)],
            PciInterrupt = (slot, pin) => _devices.HostBridge.Root.InterruptRouting.GetGsi(slot, InterruptPin.A + pin),
            PortInterrupt = (slot, pin) => _devices.HostBridge.Root.PortInterruptRouting.GetGsi(slot, InterruptPin.A + pin),
        });
        BootState state = BootLoader.Load(memory, Layout, kernel, Options.InitramfsPath, Options.CommandLine, rootPointer);
        _logger.KernelLoaded(kernel.Path, state.Protocol.ToString(), state.KernelStart, state.KernelEnd, state.EntryPoint);
        Report("kernel");

        CreateVcpus(system, hypervisor, cpuid, state);
        Report("vCPUs");
    }

    private void CreateSpaces(IHypervisor hypervisor)
    {
        var domain = new AccessDomain(Options.LoggerFactory);
        VcpuUnclaimedAccessLogger? sink = Options.LoggerFactory is { } factory ? new VcpuUnclaimedAccessLogger(factory) : null;
        MemorySpace = new AddressSpace(new AddressSpaceOptions
        {
            Kind = AddressSpaceKind.Memory,
            Name = "memory",
            Domain = domain,
            MemorySlots = hypervisor.MemorySlots,
            Doorbells = hypervisor.Doorbells,
            UnclaimedSink = sink,
            LoggerFactory = Options.LoggerFactory,
        });
        PortSpace = new AddressSpace(new AddressSpaceOptions
        {
            Kind = AddressSpaceKind.Port,
            Name = "port",
            Domain = domain,
            Doorbells = hypervisor.Doorbells,
            UnclaimedSink = sink,
            LoggerFactory = Options.LoggerFactory,
        });
        (MemorySpace.Observer, PortSpace.Observer) = (Options.AccessObserver, Options.AccessObserver);
    }

    private void CreateVcpus(KvmSystem system, KvmVirtualMachine hypervisor, IReadOnlyList<CpuidEntry> cpuid, BootState state)
    {
        bool tscDeadline = system.CheckExtension(KvmCapability.TscDeadlineTimer) != 0;
        var vcpus = new List<KvmVcpu>();
        for (int id = 0; id < Options.CpuCount; id++)
        {
            KvmVcpu vcpu = hypervisor.CreateVcpu(id);
            vcpu.SetCpuid(VcpuCpuid.Build(cpuid, id, Options.CpuCount, tscDeadline));
            VcpuStartState.ApplyCommon(vcpu);
            vcpus.Add(vcpu);
            Options.OnEvent?.Invoke(MachineEvent.Of("cpu_manager", "create_vcpu", id.ToString(CultureInfo.InvariantCulture)));
        }

        VcpuStartState.ApplyEntry(vcpus[0], state);

        // The machine tells of the end itself, once.
        _vcpus = Keep(new VcpuGroup(vcpus, MemorySpace, PortSpace));
    }

    private static uint AddressSizes(IReadOnlyList<CpuidEntry> cpuid)
    {
        return cpuid.FirstOrDefault(static entry => entry.Function == PhysicalAddressWidth.Leaf).Eax;
    }

    private void Stop(VmStopReason reason)
    {
        // Before the start it is remembered; the start looks after it has made the threads.
        Interlocked.CompareExchange(ref _early, reason, null);
        _vcpus?.RequestStop(reason);
    }

    private T Keep<T>(T part)
        where T : IDisposable
    {
        _parts.Push(part);
        return part;
    }

    private void Report(string step)
    {
        if (_logger.IsEnabled(LogLevel.Debug))
        {
            _logger.StepDone(step, MachineClock.Milliseconds());
        }
    }
}
