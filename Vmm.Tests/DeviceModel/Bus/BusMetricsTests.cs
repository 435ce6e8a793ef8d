using System.Collections.Generic;
using System.Diagnostics.Metrics;
using System.Linq;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.DeviceModel.Bus;

public sealed class BusMetricsTests
{
    [Fact]
    [Trait("Behaviour", "BUS-2")]
    [Trait("Behaviour", "BUS-10")]
    public void Counters_are_shown_by_a_meter()
    {
        var space = new AddressSpace(new AddressSpaceOptions { Name = "metered" });
        space.Add(new HandlerClaim("counted", 16, new ConstantHandler(1)), 0x1000);
        for (int i = 0; i < 5; i++)
        {
            space.Read(0x1000, 4);
        }

        space.Write(0x1000, 4, 0);
        space.Write(0x3000, 4, 0);
        var seen = new Dictionary<string, long>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Name == "Vmm.DeviceModel")
            {
                self.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            Dictionary<string, object?> named = tags.ToArray().ToDictionary(t => t.Key, t => t.Value);
            if ((string?)named.GetValueOrDefault("space") == "metered")
            {
                seen[$"{instrument.Name} {named.GetValueOrDefault("claim")}".Trim()] = value;
            }
        });
        listener.Start();
        listener.RecordObservableInstruments();

        seen.Should().Contain("vmm.bus.reads counted", 5).And.Contain("vmm.bus.writes counted", 1)
            .And.Contain("vmm.bus.unclaimed", 1).And.Contain("vmm.bus.faults", 0).And.Contain("vmm.bus.doorbells_refused", 0);
        space.Name.Should().Be("metered");
    }
}
