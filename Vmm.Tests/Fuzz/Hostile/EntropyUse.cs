using System;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

internal sealed class EntropyUse(VirtioEntropyDriver entropy) : DriverUse(entropy.Driver)
{
    protected override void Request(Random random) => entropy.Read(new byte[random.Next(10_000)]);
}
