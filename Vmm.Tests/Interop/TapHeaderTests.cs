using System;
using Vmm.Virtio.Interop;

namespace Vmm.Tests.Interop;

/// <summary>The requests to the tap driver, against the headers.</summary>
public sealed class TapHeaderTests
{
    [CompilerFact]
    public void Taps_have_the_headers_constants()
    {
        new CHeaderCheck("sys/ioctl.h", "linux/if.h", "linux/if_tun.h", "linux/sockios.h")
            .Constants(typeof(Tap), name => name.StartsWith("IF", StringComparison.Ordinal)
                || name.StartsWith("TUN", StringComparison.Ordinal) || name.StartsWith("SIOC", StringComparison.Ordinal))
            .Run();
    }
}
