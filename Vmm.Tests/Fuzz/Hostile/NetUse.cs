using System;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

internal sealed class NetUse(VirtioNetDriver net) : DriverUse(net.Driver)
{
    private readonly byte[] _frame = new byte[4096];

    protected override void Request(Random random)
    {
        switch (random.Next(6))
        {
            case 0 or 1:
                net.Transmit(_frame.AsSpan(0, random.Next(1, 53)));
                break;
            case 2 or 3:
                if (net.TryReceive(_frame.AsSpan(0, random.Next(_frame.Length)), random.Next(2) * HostileSession.Patience, out int length))
                {
                    length.Should().BeInRange(0, int.MaxValue);
                }

                break;
            case 4:
                net.WaitTransmitted();
                break;
            default:
                if (net.Driver.Queues.Count > 2)
                {
                    _ = net.Control((byte)random.Next(6), (byte)random.Next(4), _frame.AsSpan(0, random.Next(200)));
                }

                break;
        }
    }

    protected override void Configure(Random random)
    {
        _ = net.Mac;
        _ = net.LinkUp;
        base.Configure(random);
    }
}
