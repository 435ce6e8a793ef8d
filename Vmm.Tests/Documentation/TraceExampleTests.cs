using System;
using System.IO;
using System.Threading;
using Vmm.DeviceModel.Tracing;
using Vmm.Tests.Fakes;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Documentation;

/// <summary>The example of a trace in docs/machine.md is what a trace writes; run with VMMDEVICES_UPDATE_DOCS=1 to write it anew.</summary>
public sealed class TraceExampleTests
{
    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void The_documentation_shows_a_trace_as_it_is()
    {
        var output = new StringWriter();
        using var rig = new TransportRig(doorbells: false);
        var disk = new BlockDevice(new HeldBlockBackend(), new BlockDeviceOptions { QueueCount = 2, QueueSize = 64 });
        rig.AddFunction(disk, new VirtioPciOptions { Name = "disk0" }, slot: 2);
        var driver = new TestDriver(rig.Memory, TransportRig.EcamBase + (2 << 15));
        driver.Place(0xe100_0000);
        using (var trace = new AccessTrace(output, new AccessTraceOptions { Time = new StepTime(), Vcpu = static () => 0, Devices = ["disk0"] }))
        {
            rig.Memory.Observer = trace;
            driver.ReadConfig(0, 4);
            driver.ReadConfig(driver.Capabilities.Find(static c => c.Id == 0x11).Offset + 2, 2);
            driver.WriteConfig(4, 2, 0x406);
            driver.Status = 0;
            driver.Status = 3;
            driver.Set(Reg.DeviceFeatureSelect, 4, 1);
            driver.Get(Reg.DeviceFeature, 4);
            driver.Set(Reg.DriverFeatureSelect, 4, 1);
            driver.Set(Reg.DriverFeature, 4, 1);
            driver.Status = 11;
            driver.Get(Reg.DeviceStatus, 1);
            driver.Set(Reg.QueueSelect, 2, 1);
            driver.Get(Reg.QueueSize, 2);
            driver.Set(Reg.QueueDescriptors, 4, 0x1000);
            driver.Set(Reg.QueueDescriptors + 4, 4, 0);
            driver.Set(Reg.QueueDriver, 8, 0x2000);
            driver.Set(Reg.QueueDevice, 8, 0x3000);
            driver.Set(Reg.QueueEnable, 2, 1);
            driver.Status = 15;
            rig.Memory.Write(driver.Bar + driver.Structures[VirtioPciCapabilityType.Notification].Offset + 4, 2, 1);
            rig.Memory.Read(driver.Config, 4);
            rig.Memory.Read(driver.Isr, 1);
            rig.Memory.Observer = null;
        }

        string path = Repository.PathOf("docs/machine.md");
        string text = File.ReadAllText(path);
        int start = text.IndexOf("```\n", text.IndexOf("## A trace", StringComparison.Ordinal), StringComparison.Ordinal) + 4;
        int end = text.IndexOf("```", start, StringComparison.Ordinal);
        if (Environment.GetEnvironmentVariable("VMMDEVICES_UPDATE_DOCS") == "1")
        {
            text = string.Concat(text.AsSpan(0, start), output.ToString(), text.AsSpan(end));
            File.WriteAllText(path, text);
            end = start + output.ToString().Length;
        }

        text[start..end].Should().Be(output.ToString(), "docs/machine.md has the trace that this test writes (VMMDEVICES_UPDATE_DOCS=1)");
        output.ToString().Should().Contain(" vcpu0 disk0 common_cfg.queue_enable[1] <- 1\n");
    }

    /// <summary>Each look at the clock finds it 12 microseconds later.</summary>
    private sealed class StepTime : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => Interlocked.Add(ref _ticks, 12);
    }
}
