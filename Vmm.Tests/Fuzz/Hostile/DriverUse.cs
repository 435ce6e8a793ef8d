using System;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>A driver that is open, and how it is used.</summary>
internal abstract class DriverUse(VirtioPciDriver pci)
{
    public VirtioPciDriver Pci { get; } = pci;

    /// <summary>Uses the driver; all details are random. An operation that a driver has not does nothing.</summary>
    public virtual void Do(HostileAction action, Random random, HostileCounts counts)
    {
        switch (action)
        {
            case HostileAction.Request:
                counts.Submitted++;
                Request(random);
                counts.Completed++;
                break;
            case HostileAction.Configuration:
                Configure(random);
                break;
        }
    }

    protected virtual void Request(Random random)
    {
    }

    protected virtual void Configure(Random random)
    {
        switch (random.Next(3))
        {
            case 0:
                int width = 1 << random.Next(4);
                int offset = random.Next(8) * width;
                _ = Pci.ReadDeviceConfiguration(field => field(offset, width) + field(offset + width, width));
                break;
            case 1:
                Pci.WriteDeviceConfiguration(random.Next(16) * 4, 4, 1);
                break;
            default:
                _ = Pci.WaitConfigurationChange(HostileSession.Patience);
                break;
        }
    }
}
