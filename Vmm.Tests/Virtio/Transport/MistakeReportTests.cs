using System;
using System.Collections.Generic;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>What is ignored is seen: in the counts, on the meter, and now and then in the log.</summary>
[Trait("Behaviour", "VTP-5")]
public sealed class MistakeReportTests
{
    [Fact]
    public void Mistakes_are_counted_on_the_meter_by_kind()
    {
        using var rig = new TransportRig();
        long seen = 0;
        using var listener = new MeterListener
        {
            InstrumentPublished = static (instrument, listener) =>
            {
                if (instrument.Name == "vmm.virtio.guest_mistakes")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        int thread = Environment.CurrentManagedThreadId;
        listener.SetMeasurementEventCallback<long>((_, count, tags, _) =>
        {
            if (Environment.CurrentManagedThreadId == thread)
            {
                tags[0].Should().Be(new KeyValuePair<string, object?>("mistake", nameof(GuestMistake.QueueSizeRefused)));
                seen += count;
            }
        });
        listener.Start();
        rig.Driver.Set(Reg.QueueSize, 2, 3);
        rig.Driver.Set(Reg.QueueSize, 2, 5);

        seen.Should().Be(2);
        rig.Function.CountOf(GuestMistake.QueueSizeRefused).Should().Be(2);
    }

    [Fact]
    public void A_driver_that_repeats_itself_does_not_flood_the_log()
    {
        using var log = new CountingLoggerFactory();
        using var rig = new TransportRig(options: new VirtioPciOptions { LoggerFactory = log });
        for (int i = 0; i < 10_000; i++)
        {
            rig.Driver.Status = 4;
        }

        log.Messages.Should().HaveCountGreaterThan(0).And.HaveCountLessThan(100);
        log.Messages[0].Should().Contain("virtio-block").And.Contain("StatusSkipped");
        rig.Function.CountOf(GuestMistake.StatusSkipped).Should().Be(10_000);
    }

    private sealed class CountingLoggerFactory : ILoggerFactory, ILogger
    {
        public List<string> Messages { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Messages.Add(formatter(state, exception));
        }

        public void Dispose()
        {
        }
    }
}
