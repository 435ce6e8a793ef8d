using System;
using System.IO;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A test that makes taps in a network namespace of its own: needs root and /dev/net/tun.</summary>
public sealed class TapFactAttribute : FactAttribute
{
    public TapFactAttribute()
    {
        Skip = !File.Exists("/dev/net/tun")
            ? "no /dev/net/tun"
            : Environment.UserName != "root"
                ? "needs root for a network namespace"
                : null;
    }
}
