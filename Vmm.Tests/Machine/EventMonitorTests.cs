using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;
using Vmm.Machine.Events;
using Vmm.Machine.Host;
using Vmm.Tests.Cli;

namespace Vmm.Tests.Machine;

/// <summary>Events on their way to a reader (CTL-4).</summary>
[Trait("Behaviour", "CTL-4")]
public sealed class EventMonitorTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-events");

    private string Path => System.IO.Path.Combine(_folder.FullName, "events");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_file_has_one_object_an_event_in_order()
    {
        File.WriteAllText(Path, "from before");
        using (var monitor = EventMonitor.Open(Path))
        {
            monitor.Post(new MachineEvent("vm", "booting"));
            monitor.Post(MachineEvent.Of("virtio-device", "activated", "disk0"));
        }

        JsonElement[] events = Read(File.ReadAllText(Path));
        events.Select(static one => $"{one.GetProperty("source")} {one.GetProperty("event")}").Should().Equal("vm booting", "virtio-device activated");
        events[0].GetProperty("properties").ValueKind.Should().Be(JsonValueKind.Null);
        events[1].GetProperty("properties").GetProperty("id").GetString().Should().Be("disk0");
        foreach (JsonElement time in events.Select(static one => one.GetProperty("timestamp")))
        {
            time.GetProperty("secs").GetInt64().Should().BeGreaterThanOrEqualTo(0);
            time.GetProperty("nanos").GetInt64().Should().BeInRange(0, 999_999_999);
        }
    }

    [Fact]
    public async Task A_pipe_is_opened_before_its_reader_comes_and_keeps_what_was_said()
    {
        MakePipe();
        using var monitor = EventMonitor.Open(Path);
        monitor.Post(new MachineEvent("vmm", "starting"));
        await using FileStream reader = File.OpenRead(Path);
        byte[] bytes = new byte[4096];
        int count = await reader.ReadAsync(bytes).AsTask().WaitAsync(TimeSpan.FromSeconds(30));
        Read(Encoding.UTF8.GetString(bytes, 0, count)).Single().GetProperty("event").GetString().Should().Be("starting");
    }

    [Fact]
    public void A_reader_that_does_not_read_holds_up_nobody_and_the_lost_are_counted()
    {
        MakePipe();
        var monitor = EventMonitor.Open(Path);
        var watch = Stopwatch.StartNew();
        const int Count = 100_000;
        for (int i = 0; i < Count; i++)
        {
            monitor.Post(new MachineEvent("vm", "booted"));
        }

        // A pipe holds some hundred of them.
        monitor.Lost.Should().BeInRange(Count - EventMonitor.Limit - 2000, Count);
        monitor.Dispose();
        watch.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task Devices_leave_room_for_what_the_machine_says()
    {
        MakePipe();
        var monitor = EventMonitor.Open(Path);
        for (int i = 0; i < 100_000; i++)
        {
            monitor.Post(MachineEvent.Of("virtio-device", "activated", "disk0"));
        }

        monitor.Post(new MachineEvent("vm", "shutdown"));
        await using FileStream reader = File.OpenRead(Path);
        var closing = Task.Run(monitor.Dispose);
        var text = new StringBuilder();
        byte[] bytes = new byte[1 << 16];
        while (!text.ToString().Contains("shutdown", StringComparison.Ordinal))
        {
            int count = await reader.ReadAsync(bytes).AsTask().WaitAsync(TimeSpan.FromSeconds(30));
            count.Should().BePositive();
            text.Append(Encoding.UTF8.GetString(bytes, 0, count));
        }

        await closing;
    }

    [Fact]
    public void A_device_tells_so_many_events_and_then_one_a_second()
    {
        var time = new ManualTime();
        var pace = new EventPace(time);
        Enumerable.Range(0, 1000).Count(_ => pace.Allows()).Should().Be(32);
        time.Advance(TimeSpan.FromSeconds(3));
        Enumerable.Range(0, 1000).Count(_ => pace.Allows()).Should().Be(3);
    }

    [Fact]
    public void What_cannot_be_opened_is_named()
    {
        FluentActions.Invoking(() => EventMonitor.Open("/nowhere/events")).Should().Throw<MachineException>().WithMessage("*event-monitor*/nowhere/events*");
        FluentActions.Invoking(() => EventMonitor.Adopt(987)).Should().Throw<MachineException>().WithMessage("*fd=987*");
    }

    private void MakePipe() => VmmProcess.RunProgram("mkfifo", [Path]).Status.Should().Be(0);

    /// <summary>Objects that follow each other.</summary>
    private static JsonElement[] Read(string text)
    {
        var events = new List<JsonElement>();
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text.TrimEnd());
        while (!rest.IsEmpty)
        {
            var reader = new Utf8JsonReader(rest);
            events.Add(JsonElement.ParseValue(ref reader));
            rest = rest[(int)reader.BytesConsumed..].TrimStart("\n"u8);
        }

        return [.. events];
    }
}
