using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>The KVM-VFIO device of a machine: KVM's list of the groups and devices that VFIO gives it.</summary>
/// <remarks>
/// Thread-safe. The device is made at the first use and kept for the machine's life: a machine can have one, and older kernels let it go only with
/// the machine.
/// </remarks>
public sealed unsafe class KvmHostDeviceFiles : IHostDeviceFiles, IDisposable
{
    private readonly IVmCalls _calls;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private FileDescriptor? _device;
    private int _count;

    internal KvmHostDeviceFiles(IVmCalls calls, ILogger logger) => (_calls, _logger) = (calls, logger);

    /// <summary>Files that the hypervisor knows now.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <inheritdoc/>
    public IDisposable Add(int descriptor)
    {
        lock (_lock)
        {
            _device ??= Create();
            int result = Set(_device, KvmConstants.KVM_DEV_VFIO_GROUP_ADD, descriptor);
            if (result < 0)
            {
                throw KvmCall.Failure(
                    nameof(KvmConstants.KVM_DEV_VFIO_GROUP_ADD), -result, $"telling KVM of file {descriptor}, by which VFIO gives a device");
            }

            _count++;
            return new Registration(this, descriptor);
        }
    }

    /// <summary>Closes the device; what is registered then stays so until the machine is gone.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _device?.Dispose();
        }
    }

    private FileDescriptor Create()
    {
        var create = new kvm_create_device { type = KvmConstants.KVM_DEV_TYPE_VFIO };
        int result = _calls.Call(KvmRequests.KVM_CREATE_DEVICE, &create);
        return result < 0
            ? throw KvmCall.Failure(nameof(KvmRequests.KVM_CREATE_DEVICE), -result, "creating the KVM-VFIO device")
            : new FileDescriptor((int)create.fd);
    }

    private int Set(FileDescriptor device, uint attribute, int descriptor)
    {
        var attr = new kvm_device_attr { group = KvmConstants.KVM_DEV_VFIO_GROUP, attr = attribute, addr = (ulong)&descriptor };
        return _calls.Call(device, KvmRequests.KVM_SET_DEVICE_ATTR, &attr);
    }

    private void Remove(int descriptor)
    {
        lock (_lock)
        {
            _count--;
            int result = _calls.IsClosed ? 0 : Set(_device!, KvmConstants.KVM_DEV_VFIO_GROUP_DEL, descriptor);
            if (result < 0 && !_calls.IsClosed)
            {
                _logger.RemovalRefused("host device", $"file {descriptor}", -result);
            }
        }
    }

    private sealed class Registration(KvmHostDeviceFiles owner, int descriptor) : IDisposable
    {
        private int _disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0)
            {
                owner.Remove(descriptor);
            }
        }
    }
}
