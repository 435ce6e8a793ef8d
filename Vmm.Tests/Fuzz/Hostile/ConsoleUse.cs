using System;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

internal sealed class ConsoleUse(VirtioConsoleDriver console) : DriverUse(console.Driver)
{
    private readonly byte[] _text = new byte[4096];

    protected override void Request(Random random)
    {
        if (random.Next(2) == 0)
        {
            console.Write(_text.AsSpan(0, random.Next(_text.Length)));
        }
        else
        {
            int room = random.Next(_text.Length);
            console.Read(_text.AsSpan(0, room), random.Next(2) * HostileSession.Patience).Should().BeInRange(0, room);
        }
    }

    protected override void Configure(Random random)
    {
        _ = console.ScreenSize;
        base.Configure(random);
    }
}
