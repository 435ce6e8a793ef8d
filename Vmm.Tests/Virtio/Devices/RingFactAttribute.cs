using System;
using Vmm.DeviceModel.Interop;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A test that needs io_uring.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RingFactAttribute : FactAttribute
{
    public RingFactAttribute()
    {
        int error = IoUring.TryCreate(1, out IoUring? ring);
        ring?.Dispose();
        if (error != 0)
        {
            Skip = $"the kernel gives no io_uring: errno {error}";
        }
    }
}
