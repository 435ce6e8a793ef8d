using System;
using System.Collections.Concurrent;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.Tracing;

namespace Vmm.Tests.DeviceModel.Tracing;

/// <summary>The trace of accesses: what a line says, who is seen, and that nobody waits for it.</summary>
public sealed class AccessTraceTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void A_line_names_time_vcpu_device_register_and_value()
    {
        var time = new ManualTime();
        var output = new StringWriter();
        int vcpu = 0;
        AddressSpace space = Space();
        var device = new Device { Select = 0 };
        space.Add(new HandlerClaim("00:03.0 bar4 common", 0x40, Device.Map.Bind(device)) { Device = "disk0" }, 0x1000);
        space.Add(new HandlerClaim("00:03.0 bar4 isr", 4, new ConstantHandler(3)) { Device = "disk0" }, 0x2000);
        space.Add(new HandlerClaim("post", 1, new ConstantHandler(0)), 0x3000);
        using (var trace = new AccessTrace(output, new AccessTraceOptions { Time = time, Vcpu = () => vcpu }))
        {
            space.Observer = trace;
            time.Advance(TimeSpan.FromMicroseconds(3512));
            space.Write(0x1010, 2, 1);
            time.Advance(TimeSpan.FromSeconds(2));
            space.Write(0x1004, 4, 1);
            vcpu = 1;
            space.Read(0x100c, 4);
            space.Write(0x1008, 8, 0x1_2345_6780);
            vcpu = -1;
            space.Read(0x2000, 1);
            space.Read(0x1030, 2);
            space.Write(0x3000, 1, 9);
            space.Read(0x1002, 4);
            space.Observer = null;
            space.Write(0x3000, 1, 1);
        }

        Lines(output).Should().Equal(
            "0.003512 vcpu0 disk0 common_cfg.queue_enable[0] <- 1",
            "2.003512 vcpu0 disk0 common_cfg.queue_select <- 1",
            "2.003512 vcpu1 disk0 common_cfg.queue_desc[1]+4 -> 0",
            "2.003512 vcpu1 disk0 common_cfg.queue_desc[1] <- 0x123456780",
            "2.003512 host disk0 isr+0x0 -> 3",
            "2.003512 host disk0 common_cfg+0x30 -> 0",
            "2.003512 host post post+0x0 <- 9",
            "2.003512 host disk0 common_cfg+0x2 -> 0",
            "2.003512 host disk0 common_cfg.queue_select -> 0");
        device.Desc.Should().Be(0x1_2345_6780);
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void Only_chosen_devices_are_seen_and_the_others_have_nothing_before_them()
    {
        var output = new StringWriter();
        AddressSpace space = Space();
        var seen = new StackHandler();
        var unseen = new StackHandler();
        space.Add(new HandlerClaim("a", 16, seen) { Device = "net0" }, 0x1000);
        space.Add(new HandlerClaim("b", 16, unseen) { Device = "disk0" }, 0x2000);
        using (var trace = new AccessTrace(output, new AccessTraceOptions { Devices = ["net0", "nobody"] }))
        {
            space.Observer = trace;
            space.Read(0x1000, 4);
            space.Read(0x2000, 4);

            // What is added later is looked at too.
            space.Add(new HandlerClaim("c", 16, new ConstantHandler(0)) { Device = "net0" }, 0x3000);
            space.Add(new HandlerClaim("d", 16, new ConstantHandler(0)) { Device = "rng" }, 0x4000);
            space.Write(0x3000, 4, 1);
            space.Write(0x4000, 4, 1);
            space.Observer = null;
        }

        Lines(output).Select(static line => line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..]).Should().Equal(
            "host net0 a+0x0 -> 0", "host net0 c+0x0 <- 1");
        seen.Callers.Should().Contain(nameof(ObservedHandler));
        unseen.Callers.Should().NotContain(nameof(ObservedHandler));
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public async Task Accesses_do_not_wait_for_the_output_and_losses_are_said()
    {
        var output = new GatedWriter();
        AddressSpace space = Space();
        space.Add(new HandlerClaim("a", 16, new ConstantHandler(0)), 0x1000);
        using (var trace = new AccessTrace(output, new AccessTraceOptions { Capacity = 64 }))
        {
            space.Observer = trace;
            space.Read(0x1000, 4);
            output.Entered.Wait(Limit).Should().BeTrue();

            // The output stands still: one line in it, 64 in the ring.
            await Task.Run(() =>
            {
                for (int i = 0; i < 1000; i++)
                {
                    space.Read(0x1000, 4);
                }
            }).WaitAsync(Limit);
            trace.Lost.Should().Be(1000 - 64);
            output.Go.Set();
            SpinWait.SpinUntil(() => output.Text.Contains("not shown", StringComparison.Ordinal), Limit).Should().BeTrue();
            space.Observer = null;
        }

        string[] lines = output.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Count(static line => line.EndsWith("a+0x0 -> 0", StringComparison.Ordinal)).Should().Be(65);
        lines.Should().Contain("# 936 accesses are not shown").And.HaveCount(66);
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void An_output_that_fails_ends_the_lines_and_nothing_else()
    {
        AddressSpace space = Space();
        space.Add(new HandlerClaim("a", 16, new ConstantHandler(7)), 0x1000);
        using var trace = new AccessTrace(new FullWriter());
        space.Observer = trace;
        space.Read(0x1000, 4);
        SpinWait.SpinUntil(() => trace.Failure is IOException, Limit).Should().BeTrue();
        for (int i = 0; i < 100; i++)
        {
            space.Read(0x1000, 1).Should().Be(7);
        }

        SpinWait.SpinUntil(() => trace.Lost == 101, Limit).Should().BeTrue();
        space.HandlerFaults.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public async Task Accesses_of_many_threads_are_written_once_each_and_in_their_order()
    {
        const int Threads = 3;
        const int Each = 4000;
        var output = new StringWriter();
        AddressSpace space = Space();
        space.Add(new HandlerClaim("a", 16, new ConstantHandler(0)), 0x1000);
        using (var trace = new AccessTrace(output, new AccessTraceOptions { Capacity = 1 << 14 }))
        {
            space.Observer = trace;
            await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Factory.StartNew(
                () =>
                {
                    for (int i = 0; i < Each; i++)
                    {
                        space.Write(0x1000, 8, ((ulong)(uint)thread << 20) | (uint)i | (1UL << 32));
                    }
                },
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))).WaitAsync(Limit);
            trace.Lost.Should().Be(0);
            space.Observer = null;
        }

        var values = Lines(output).Select(static line => Convert.ToUInt64(line[(line.LastIndexOf("0x1", StringComparison.Ordinal) + 2)..], 16))
            .Select(static value => value & uint.MaxValue).ToList();
        values.Should().HaveCount(Threads * Each);
        for (int thread = 0; thread < Threads; thread++)
        {
            int of = thread;
            values.Where(value => value >> 20 == (ulong)of).Select(static value => (int)(value & 0xfffff)).Should().Equal(Enumerable.Range(0, Each));
        }
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void What_a_trace_costs_the_accessing_thread_is_no_garbage()
    {
        AddressSpace space = Space();
        space.Add(new HandlerClaim("common", 0x40, Device.Map.Bind(new Device())) { Device = "disk0" }, 0x1000);
        using var trace = new AccessTrace(TextWriter.Null, new AccessTraceOptions { Vcpu = static () => 0 });
        space.Observer = trace;
        space.Read(0x1004, 4);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            space.Write(0x1010, 2, 1);
        }

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);
        space.Observer = null;
    }

    [Fact]
    public void A_fault_is_a_line_and_stays_the_affair_of_the_device()
    {
        var output = new StringWriter();
        AddressSpace space = Space();
        var claim = new HandlerClaim("a", 16, new DelegateHandler((_, _) => throw new InvalidOperationException("of the device")));
        space.Add(claim, 0x1000);
        using (var trace = new AccessTrace(output))
        {
            space.Observer = trace;
            space.Read(0x1000, 4).Should().Be(0xffff_ffff);
            space.Observer = null;
            space.Observer = trace;
            space.Read(0x1000, 4).Should().Be(0xffff_ffff);
            space.Observer = null;
        }

        space.IsFaulted(claim).Should().BeTrue();
        Lines(output).Should().ContainSingle().Which.Should().EndWith("a a+0x0 -> fault");
    }

    [Fact]
    public void An_observer_that_throws_harms_no_device()
    {
        var logs = new ListLogger();
        var space = new AddressSpace(new AddressSpaceOptions { LoggerFactory = logs });
        var claim = new HandlerClaim("a", 16, new ConstantHandler(7));
        space.Add(claim, 0x1000);
        space.Observer = new ThrowingObserver();
        space.Read(0x1000, 1).Should().Be(7);
        space.Write(0x1000, 1, 7);
        space.IsFaulted(claim).Should().BeFalse();
        logs.Entries.Should().HaveCount(2).And.OnlyContain(static entry => entry.Text.Contains("observer"));
    }

    [Fact]
    public async Task An_observer_that_was_taken_out_is_called_no_more()
    {
        AddressSpace space = Space();
        space.Add(new HandlerClaim("a", 16, new ConstantHandler(7)), 0x1000);
        using var stop = new CancellationTokenSource();
        Task reader = Task.Factory.StartNew(
            () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    space.Read(0x1000, 1);
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        for (int i = 0; i < 50; i++)
        {
            var observer = new MortalObserver();
            space.Observer = observer;
            SpinWait.SpinUntil(() => observer.Calls > 0, Limit).Should().BeTrue();
            space.Observer = null;
            observer.Die();
            observer.CallsAfterDeath.Should().Be(0);
        }

        await stop.CancelAsync();
        await reader;
        Action inside = () =>
        {
            using (space.Domain.Enter())
            {
                space.Observer = null;
            }
        };
        inside.Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_ring_is_a_power_of_two()
    {
        Action odd = static () => new AccessTrace(TextWriter.Null, new AccessTraceOptions { Capacity = 100 }).Dispose();
        odd.Should().Throw<ArgumentOutOfRangeException>();
    }

    private static AddressSpace Space() => new(new AddressSpaceOptions());

    private static string[] Lines(StringWriter output) => output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private sealed class Device
    {
        public static readonly RegisterMap<Device> Map = new RegisterMap<Device>("common_cfg", 0x40)
        {
            { 0x04, 4, RegisterAccess.ReadWrite, "queue_select", static d => (ulong)d.Select, static (d, v) => d.Select = (int)v },
            { 0x08, 8, RegisterAccess.ReadWrite, "queue_desc", static d => d.Desc, static (d, v) => d.Desc = v },
            { 0x10, 2, RegisterAccess.ReadWrite, "queue_enable", static _ => 0, static (_, _) => { } },
        }.SelectedBy(static d => d.Select, "queue_desc", "queue_enable");

        public int Select { get; set; }

        public ulong Desc { get; set; }
    }

    /// <summary>Notes which types stand before it.</summary>
    private sealed class StackHandler : IRegionHandler
    {
        public ConcurrentBag<string> Callers { get; } = [];

        public ulong Read(ulong offset, int width)
        {
            foreach (System.Diagnostics.StackFrame frame in new System.Diagnostics.StackTrace().GetFrames())
            {
                Callers.Add(frame.GetMethod()?.DeclaringType?.Name ?? "");
            }

            return 0;
        }

        public void Write(ulong offset, int width, ulong value)
        {
        }
    }

    private sealed class GatedWriter : TextWriter
    {
        private readonly StringBuilder _text = new();

        public ManualResetEventSlim Entered { get; } = new();

        public ManualResetEventSlim Go { get; } = new();

        public override Encoding Encoding => Encoding.UTF8;

        public string Text
        {
            get
            {
                lock (_text)
                {
                    return _text.ToString();
                }
            }
        }

        public override void Write(StringBuilder? value)
        {
            Entered.Set();
            Go.Wait(Limit);
            lock (_text)
            {
                _text.Append(value);
            }
        }
    }

    private sealed class FullWriter : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(StringBuilder? value) => throw new IOException("no space left");
    }

    private sealed class ThrowingObserver : IAccessObserver
    {
        public bool Observes(Claim claim) => true;

        public void OnAccess(in ObservedAccess access) => throw new InvalidOperationException("of the observer");
    }

    private sealed class MortalObserver : IAccessObserver
    {
        private long _calls;
        private long _callsAfterDeath;
        private volatile bool _dead;

        public long Calls => Volatile.Read(ref _calls);

        public long CallsAfterDeath => Volatile.Read(ref _callsAfterDeath);

        public void Die()
        {
            _dead = true;
            Thread.Yield();
        }

        public bool Observes(Claim claim) => true;

        public void OnAccess(in ObservedAccess access)
        {
            Interlocked.Increment(ref _calls);
            if (_dead)
            {
                Interlocked.Increment(ref _callsAfterDeath);
            }
        }
    }
}
