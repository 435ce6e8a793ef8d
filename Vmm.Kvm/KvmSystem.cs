using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>The host's hypervisor: an open /dev/kvm that was checked for what this library needs.</summary>
/// <remarks>Thread-safe. Machines that were made from it do not need it afterwards.</remarks>
public sealed unsafe class KvmSystem : IDisposable
{
    private static readonly KvmCapability[] Required =
    [
        KvmCapability.UserMemory, KvmCapability.IrqChip, KvmCapability.IrqRouting, KvmCapability.IrqFd, KvmCapability.Pit2, KvmCapability.IoEventFd,
        KvmCapability.SetTssAddress, KvmCapability.SetIdentityMapAddress, KvmCapability.SignalMsi, KvmCapability.ImmediateExit,
    ];

    private readonly FileDescriptor _descriptor;

    private KvmSystem(FileDescriptor descriptor, int vcpuMapSize)
    {
        _descriptor = descriptor;
        VcpuMapSize = vcpuMapSize;
    }

    /// <summary>Size of the area that a vCPU shares with us, in bytes.</summary>
    public int VcpuMapSize { get; }

    /// <summary>How many vCPUs one machine can have.</summary>
    public int MaxVcpus
    {
        get
        {
            int max = CheckExtension(KvmCapability.MaxVcpus);
            return max > 0 ? max : Math.Max(CheckExtension(KvmCapability.RecommendedVcpus), 1);
        }
    }

    /// <summary>Opens the hypervisor.</summary>
    /// <param name="path">The device node.</param>
    /// <exception cref="HostException">It is absent, not accessible, or lacks something; the message says what to do.</exception>
    public static KvmSystem Open(string path = "/dev/kvm")
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        int errno = DescriptorIo.Open(path, Libc.O_RDWR, out FileDescriptor descriptor);
        if (errno != 0)
        {
            throw OpenFailure(path, errno);
        }

        try
        {
            int version = KvmCall.Try(descriptor, KvmRequests.KVM_GET_API_VERSION);
            if (version < 0)
            {
                throw new HostException("KVM_GET_API_VERSION", -version, $"{path} is not a KVM device");
            }

            if (version != KvmConstants.KVM_API_VERSION)
            {
                throw new HostException(
                    "KVM_GET_API_VERSION", 0, $"{path} speaks API version {version}, this library speaks {KvmConstants.KVM_API_VERSION}");
            }

            foreach (KvmCapability capability in Required)
            {
                if (KvmCall.Try(descriptor, KvmRequests.KVM_CHECK_EXTENSION, (nuint)(int)capability) <= 0)
                {
                    throw new HostException(
                        "KVM_CHECK_EXTENSION", 0,
                        $"this kernel's KVM lacks {capability} (KVM_CAP number {(int)capability}); use Linux 4.12 or later on x86-64");
                }
            }

            int mapSize = KvmCall.Do(descriptor, KvmRequests.KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE", path);
            if (mapSize < sizeof(kvm_run))
            {
                throw new HostException("KVM_GET_VCPU_MMAP_SIZE", 0, $"{path} reports {mapSize} bytes, too few");
            }

            return new KvmSystem(descriptor, mapSize);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Asks for a capability of the system.</summary>
    /// <param name="capability">What to ask for.</param>
    /// <returns>0 if absent, else 1 or the number that the capability means.</returns>
    public int CheckExtension(KvmCapability capability)
    {
        return Math.Max(KvmCall.Try(_descriptor, KvmRequests.KVM_CHECK_EXTENSION, (nuint)(int)capability), 0);
    }

    /// <summary>What the hypervisor can show a guest as CPUID (KVM_GET_SUPPORTED_CPUID). Refine with <see cref="VcpuCpuid"/> before use.</summary>
    /// <exception cref="HostException">The kernel refused.</exception>
    public IReadOnlyList<CpuidEntry> GetSupportedCpuid()
    {
        for (int capacity = 128; ; capacity *= 2)
        {
            nuint size = (nuint)(sizeof(kvm_cpuid2) + (capacity * sizeof(kvm_cpuid_entry2)));
            void* buffer = NativeMemory.AllocZeroed(size);
            try
            {
                var header = (kvm_cpuid2*)buffer;
                header->nent = (uint)capacity;
                int result = KvmCall.Try(_descriptor, KvmRequests.KVM_GET_SUPPORTED_CPUID, buffer);
                if (result == -Errno.E2BIG && capacity < 4096)
                {
                    continue;
                }

                if (result < 0)
                {
                    throw KvmCall.Failure("KVM_GET_SUPPORTED_CPUID", -result, "asking for the CPUID that guests can have");
                }

                return CpuidMarshaller.ToEntries(header);
            }
            finally
            {
                NativeMemory.Free(buffer);
            }
        }
    }

    /// <summary>Makes a virtual machine: no memory, no vCPUs yet.</summary>
    /// <param name="options">What to make; the default is a PC with interrupt controllers and interval timer in the kernel.</param>
    /// <param name="loggerFactory">Where the machine logs; nothing is logged without it.</param>
    /// <exception cref="HostException">A step was refused; all earlier ones are undone.</exception>
    public KvmVirtualMachine CreateVirtualMachine(KvmVirtualMachineOptions? options = null, ILoggerFactory? loggerFactory = null)
    {
        int raw = KvmCall.Do(_descriptor, KvmRequests.KVM_CREATE_VM, 0, "KVM_CREATE_VM", "creating a virtual machine");
        return KvmVirtualMachine.Initialize(new FileDescriptor(raw), this, options ?? new KvmVirtualMachineOptions(), loggerFactory);
    }

    /// <inheritdoc/>
    public void Dispose() => _descriptor.Dispose();

    internal static HostException OpenFailure(string path, int errno)
    {
        string advice = errno switch
        {
            Errno.ENOENT when Directory.Exists("/sys/module/kvm") =>
                "it does not exist although the kvm module is loaded: make the node visible here (a container needs --device /dev/kvm)",
            Errno.ENOENT =>
                "it does not exist: load the module (modprobe kvm_intel or kvm_amd), "
                + "and enable virtualisation in the firmware or, in a virtual machine, nested virtualisation",
            Errno.EACCES or Errno.EPERM =>
                "no permission: become a member of the group that owns it (usermod -aG kvm USER, then log in again), or run as root",
            Errno.ENODEV or Errno.ENXIO => "no hypervisor is behind it: load kvm_intel or kvm_amd, and enable virtualisation in the firmware",
            Errno.EBUSY => "another hypervisor owns the processor's virtualisation; stop it",
            _ => "cannot be opened",
        };
        return KvmCall.Failure($"opening {path}", errno, advice);
    }
}
