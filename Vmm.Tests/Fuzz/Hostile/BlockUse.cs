using System;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

internal sealed class BlockUse(VirtioBlockDriver disk) : DriverUse(disk.Driver)
{
    private IDmaBuffer? _memory;
    private bool _byHand;

    public override void Do(HostileAction action, Random random, HostileCounts counts)
    {
        BlockRequestQueue queue = disk.Queues[random.Next(disk.Queues.Count)];
        switch (action)
        {
            case HostileAction.Submit:
                _memory ??= Pci.MapBuffer(0x4000);
                var pieces = new DriverSegment[random.Next(Math.Clamp(queue.MostPieces, 0, 20) + 1)];
                for (int i = 0; i < pieces.Length; i++)
                {
                    pieces[i] = new DriverSegment(_memory.Iova + ((ulong)i * 512), 512, true);
                }

                _byHand = true;
                counts.Submitted += queue.TrySubmit(BlockRequestType.Read, (ulong)random.NextInt64(), pieces) is null ? 0 : 1;
                break;
            case HostileAction.Notify:
                queue.Notify();
                break;
            case HostileAction.Complete when queue.TryComplete(out _, out _):
            case HostileAction.Wait when queue.Outstanding > 0 && queue.WaitComplete(out BlockStatus _) >= 0:
                counts.Completed++;
                break;
            default:
                base.Do(action, random, counts);
                break;
        }
    }

    protected override void Request(Random random)
    {
        if (_byHand)
        {
            // What was submitted by hand has to come back first: that is the caller's business.
            _byHand = disk.Queues.Any(static q => q.Outstanding != 0);
            return;
        }

        int queue = random.Next(disk.Queues.Count);

        switch (random.Next(6))
        {
            case 0:
                disk.Read((ulong)random.NextInt64(), new byte[512 * random.Next(200)], queue);
                break;
            case 1:
                disk.Write((ulong)random.NextInt64(), new byte[512 * random.Next(200)], queue);
                break;
            case 2:
                disk.Flush();
                break;
            case 3:
                disk.GetId().Length.Should().BeLessThanOrEqualTo(20);
                break;
            case 4 when (Pci.Features & BlockFeatures.Discard) != 0:
                disk.Discard(1, 2);
                break;
            case 5 when (Pci.Features & BlockFeatures.WriteZeroes) != 0:
                disk.WriteZeroes(1, 2);
                break;
        }
    }
}
