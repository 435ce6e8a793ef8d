using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>Signals race with masks, unmasks and new messages: each event is delivered exactly once, as the guest programmed it.</summary>
[Trait("Category", "Long")]
public sealed class MsixStressTests
{
    private const int Events = 20_000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Behaviour", "MSIX-8")]
    public async Task No_event_is_lost_or_doubled_while_masks_change(bool functionMask)
    {
        var sink = new CheckingSink();
        MsixCapability msix = Make(sink, null, out PciFunction? function);
        MsixVector vector = msix[1];
        bool stop = false;
        int toggles = 0;
        using var started = new ManualResetEventSlim();
        Task masker = OnItsOwnThread(() =>
        {
            started.Set();
            while (!Volatile.Read(ref stop))
            {
                toggles++;
                Mask(function, msix, functionMask, true);
                Mask(function, msix, functionMask, false);
            }
        });
        started.Wait(Limit).Should().BeTrue();
        await OnItsOwnThread(() => SignalOneByOne(vector.Signal, () => sink.Count));
        Volatile.Write(ref stop, true);
        await masker.WaitAsync(Limit);

        sink.Count.Should().Be(Events);
        vector.Sent.Should().Be(Events);
        vector.IsPending.Should().BeFalse();
        toggles.Should().BePositive();
    }

    [Fact]
    [Trait("Behaviour", "MSIX-8")]
    public async Task Several_signallers_lose_nothing_while_unmasked()
    {
        var sink = new CheckingSink();
        MsixCapability msix = Make(sink, null, out _);
        await Task.WhenAll(Signaller(), Signaller()).WaitAsync(Limit);
        sink.Count.Should().Be(2 * Events);

        Task Signaller() => OnItsOwnThread(() =>
        {
            for (int i = 0; i < Events; i++)
            {
                msix[1].Signal();
            }
        });
    }

    [Fact]
    [Trait("Behaviour", "MSIX-8")]
    public async Task A_message_is_never_torn_and_never_follows_the_mask()
    {
        var sink = new CheckingSink { ChecksMessage = true };
        MsixCapability msix = Make(sink, null, out _);
        bool stop = false;
        using var started = new ManualResetEventSlim();
        Task signaller = OnItsOwnThread(() =>
        {
            started.Set();
            while (!Volatile.Read(ref stop))
            {
                msix[1].Signal();
            }
        });
        started.Wait(Limit).Should().BeTrue();
        DateTime deadline = DateTime.UtcNow + Limit;
        for (uint i = 1; i <= Events || (sink.Count < 1000 && DateTime.UtcNow < deadline); i++)
        {
            Write(msix, 12, 1);
            Volatile.Write(ref sink.MaskedNow, true);
            Write(msix, 0, i << 2);
            Write(msix, 4, i);
            Write(msix, 8, i);
            Volatile.Write(ref sink.MaskedNow, false);
            Write(msix, 12, 0);
        }

        Volatile.Write(ref stop, true);
        await signaller.WaitAsync(Limit);
        sink.Violations.Should().Be(0);
        sink.Count.Should().BePositive();
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    [Trait("Behaviour", "MSIX-8")]
    public async Task Events_of_an_eventfd_are_neither_lost_nor_doubled_while_masks_change()
    {
        var sink = new CheckingSink();
        var kernel = new KernelModel();
        MsixCapability msix = Make(sink, kernel, out PciFunction? function);
        msix[1].GetEventFd();
        bool stop = false;
        using var started = new ManualResetEventSlim();
        Task masker = OnItsOwnThread(() =>
        {
            started.Set();
            while (!Volatile.Read(ref stop))
            {
                Mask(function, msix, false, true);
                msix.PendingHandler.Read(0, 8);
                Mask(function, msix, false, false);
            }
        });
        started.Wait(Limit).Should().BeTrue();
        await OnItsOwnThread(() => SignalOneByOne(kernel.Signal, () => sink.Count + kernel.Delivered));
        Volatile.Write(ref stop, true);
        await masker.WaitAsync(Limit);

        (sink.Count + kernel.Delivered).Should().Be(Events);
        msix[1].IsPending.Should().BeFalse();
    }

    private static Task OnItsOwnThread(Action action)
    {
        return Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private static void SignalOneByOne(Action signal, Func<int> delivered)
    {
        DateTime deadline = DateTime.UtcNow + Limit;
        for (int i = 0; i < Events; i++)
        {
            signal();
            var spin = default(SpinWait);
            while (delivered() != i + 1)
            {
                if (delivered() > i + 1 || DateTime.UtcNow > deadline)
                {
                    throw new InvalidOperationException($"event {i}: {delivered()} delivered");
                }

                spin.SpinOnce(sleep1Threshold: -1);
            }
        }
    }

    private static MsixCapability Make(IMsiSink sink, IIrqRouting? routing, out PciFunction function)
    {
        var bus = new PciBus(0, new PciBusOptions { Memory = new AddressSpace(new AddressSpaceOptions()), MsiSink = sink, IrqRouting = routing });
        var msix = new MsixCapability(2, 0, 0, 0, 0x800);
        function = PciRig.Function(new PciBar(0, PciBarKind.Memory32, 0x1000, [msix.CreateTableRegion(), msix.CreatePendingRegion()]));
        function.AddCapability(msix);
        bus.Add(function, 1);
        function.WriteConfiguration(4, 2, 4);
        function.WriteConfiguration(msix.Offset + 2, 2, 0x8000);
        Write(msix, 12, 0);
        return msix;
    }

    private static void Mask(PciFunction function, MsixCapability msix, bool functionMask, bool masked)
    {
        if (functionMask)
        {
            function.WriteConfiguration(msix.Offset + 3, 1, masked ? 0xc0u : 0x80u);
        }
        else
        {
            Write(msix, 12, masked ? 1u : 0);
        }
    }

    private static void Write(MsixCapability msix, ulong field, uint value) => msix.TableHandler.Write(16 + field, 4, value);

    private sealed class CheckingSink : IMsiSink
    {
        public bool MaskedNow;
        private int _count;
        private int _violations;

        public bool ChecksMessage { get; init; }

        public int Count => Volatile.Read(ref _count);

        public int Violations => Volatile.Read(ref _violations);

        public bool Send(in MsiMessage message, uint requesterId)
        {
            Interlocked.Increment(ref _count);
            if (ChecksMessage && (Volatile.Read(ref MaskedNow) || message.Address != (((ulong)message.Data << 32) | (message.Data << 2))))
            {
                Interlocked.Increment(ref _violations);
            }

            return true;
        }
    }

    /// <summary>The kernel's side of an irqfd: armed, a signal is an interrupt; disarmed, it stays in the counter, and arming looks at it.</summary>
    private sealed class KernelModel : IIrqRouting, IIrqRoute
    {
        private readonly Lock _lock = new();
        private EventFd? _source;
        private bool _armed;
        private int _delivered;

        public int Delivered => Volatile.Read(ref _delivered);

        public IIrqRoute CreateRoute(EventFd source)
        {
            _source = source;
            return this;
        }

        public void ArmAll(IReadOnlyList<RouteArming> armings)
        {
            foreach (RouteArming arming in armings)
            {
                arming.Route.Arm(arming.Message);
            }
        }

        public void Signal()
        {
            lock (_lock)
            {
                if (_armed)
                {
                    _delivered++;
                }
                else
                {
                    _source!.Signal();
                }
            }
        }

        public void Arm(in MsiMessage message)
        {
            lock (_lock)
            {
                _armed = true;
                if (_source!.TryConsume(out _))
                {
                    _delivered++;
                }
            }
        }

        public void Disarm()
        {
            lock (_lock)
            {
                _armed = false;
            }
        }

        public void Dispose() => Disarm();
    }
}
