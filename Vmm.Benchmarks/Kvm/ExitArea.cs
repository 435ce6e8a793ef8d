using System.Collections.Generic;
using System.Diagnostics;
using Vmm.Benchmarks.Bus;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel;
using Vmm.Kvm;

namespace Vmm.Benchmarks.Kvm;

/// <summary>A KVM exit: our run loop with bus and device against a bare C loop that does the same KVM_RUNs.</summary>
/// <remarks>
/// The two alternate block by block and are timed by the processor's time of their threads, so that what else the machine does spoils neither; the
/// ratio is that of the lower quartiles.
/// </remarks>
internal sealed class ExitArea : IBenchmarkArea
{
    private const int Exits = 1000;
    private const double GoalRatio = 1.02;
    private readonly string? _missing;

    public ExitArea()
    {
        try
        {
            using var system = KvmSystem.Open();
            if (!CLibrary.HasCompiler)
            {
                _missing = "no gcc here";
            }
        }
        catch (HostException e)
        {
            _missing = e.Message;
        }
    }

    public string Name => "exit";

    public string Title => _missing is null
        ? "KVM exit: a real-mode guest reads 4 bytes of a device; ours is run loop, bus and device"
        : $"KVM exit: skipped, {_missing}";

    public IEnumerable<BenchmarkRow> CreateRows()
    {
        if (_missing is not null)
        {
            yield break;
        }

        using var c = new CLoop();
        using var device = new CountingDevice(c);
        using var ours = new ExitGuest(device);
        using var bare = new ExitGuest(new BenchmarkDevice());
        using var loop = new VcpuRunLoop(ours.Vcpu, ours.Memory, ours.Ports);
        device.Loop = loop;
        loop.RequestPause();
        loop.Start();
        loop.WaitUntilPaused();

        var peer = new List<double>(10_000);
        yield return new BenchmarkRow("run loop, bus and device, alternating with C", Exits, () =>
        {
            long start = c.ThreadTime;
            c.Run(bare.Vcpu, Exits);
            peer.Add((c.ThreadTime - start) / (double)Exits);

            device.Begin(Exits);
            loop.Resume();
            device.Done.WaitOne();
            loop.WaitUntilPaused();
            return (long)(device.Nanoseconds * (Stopwatch.Frequency / 1e9));
        })
        {
            Peer = "C loop, same run",
            MeasuredPeer = () => LowerQuartile(peer),
            GoalRatio = GoalRatio,
        };
    }

    /// <summary>Of the second half: the first one warms up.</summary>
    private static double LowerQuartile(List<double> values)
    {
        List<double> sorted = values[(values.Count / 2)..];
        sorted.Sort();
        return sorted[sorted.Count / 4];
    }
}
