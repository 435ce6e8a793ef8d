using System;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Iced.Intel;
using Vmm.Machine;
using Vmm.Tests.Kvm;
using Vmm.Tests.Machine;

namespace Vmm.Tests.Api;

/// <summary>Machines with kernels of a few instructions, driven by the API on /dev/kvm (CTL-1, CTL-2, LIFE-1).</summary>
public sealed class ApiMachineTests
{
    private static readonly TimeSpan Patience = KvmAvailability.Patience(60);

    [KvmFact]
    [Trait("Behaviour", "LIFE-1")]
    public async Task A_guest_stands_still_while_it_is_paused_and_goes_on_after_that()
    {
        await using ApiRig rig = await StartAsync(static c => c.Chatter());
        Boot(rig);
        string output = rig.FileOf("serial");
        await Eventually(() => new FileInfo(output).Length > 100);
        rig.Ask("PUT", "/api/v1/vm.pause").Status.Should().Be(204);
        rig.Ask("PUT", "/api/v1/vm.pause").Status.Should().Be(405);
        StateOf(rig).Should().Be("Paused");

        // The port's own thread writes what the guest had said.
        await Task.Delay(300);
        long length = new FileInfo(output).Length;
        await Task.Delay(300);
        new FileInfo(output).Length.Should().Be(length);
        rig.Ask("PUT", "/api/v1/vm.resume").Status.Should().Be(204);
        await Eventually(() => new FileInfo(output).Length > length);
        rig.Ask("PUT", "/api/v1/vm.shutdown").Status.Should().Be(204);
        StateOf(rig).Should().Be("Shutdown");
        Names(rig).Should().Equal(
            "vmm starting", "vm booting", "cpu_manager create_vcpu", "vm booted", "vm pausing", "vm paused", "vm resuming", "vm resumed", "vm shutdown");
    }

    [KvmFact]
    public async Task A_device_is_added_with_its_place_and_a_guest_that_does_not_let_go_is_named()
    {
        await using ApiRig rig = await StartAsync(static c =>
        {
            c.UseSlots();
            c.Print("used");
            c.Spin();
        });
        Boot(rig);
        await Eventually(() => File.ReadAllText(rig.FileOf("serial")) == "used");
        string disk = rig.Write("disk", new byte[1 << 20]);
        RawAnswer added = rig.Ask("PUT", "/api/v1/vm.add-disk", $$"""{"path":"{{disk}}","id":"data"}""");
        added.Status.Should().Be(200);
        using (var json = JsonDocument.Parse(added.Body))
        {
            json.RootElement.GetProperty("id").GetString().Should().Be("data");
            json.RootElement.GetProperty("bdf").GetString().Should().MatchRegex("^0000:0[1-8]:00\\.0$");
        }

        rig.Ask("PUT", "/api/v1/vm.add-disk", $$"""{"path":"{{disk}}","id":"data"}""").Status.Should().Be(409);
        rig.Ask("GET", "/api/v1/vm.inspect/data").Status.Should().Be(200);
        using (var info = JsonDocument.Parse(rig.Ask("GET", "/api/v1/vm.info").Body))
        {
            info.RootElement.GetProperty("device_tree").GetProperty("data").GetProperty("parent").GetString().Should().StartWith("port");
        }

        RawAnswer kept = rig.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"data"}""");
        kept.Status.Should().Be(202);
        kept.Body.Should().Contain("data").And.Contain("not let go");
        rig.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"rng"}""").Status.Should().Be(409);

        // What was asked back does not come again with the next start; what was not does.
        string second = rig.Write("second", new byte[1 << 20]);
        rig.Ask("PUT", "/api/v1/vm.add-disk", $$"""{"path":"{{second}}","id":"other"}""").Status.Should().Be(200);
        rig.Ask("PUT", "/api/v1/vm.reboot").Status.Should().Be(204);
        rig.Controller.Info.Devices.Select(static device => device.Id).Should().Equal("rng", "other");
        Names(rig).Should().ContainInOrder("vm rebooting", "vm device-removed", "vm rebooted");
    }

    [KvmFact]
    public async Task A_device_in_a_slot_that_the_guest_does_not_use_goes_at_once()
    {
        await using ApiRig rig = await StartAsync(static c => c.Spin(), removalLimit: Patience);
        Boot(rig);
        string disk = rig.Write("disk", new byte[1 << 20]);
        for (int round = 0; round < 20; round++)
        {
            rig.Ask("PUT", "/api/v1/vm.add-disk", $$"""{"path":"{{disk}}","id":"data"}""").Status.Should().Be(200);
            rig.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"data"}""").Status.Should().Be(204);
        }

        Names(rig).Count(static name => name == "vm device-removed").Should().Be(20);
    }

    [KvmFact]
    public async Task A_guest_that_powers_off_ends_the_VMM()
    {
        await using ApiRig rig = await StartAsync(static c =>
        {
            c.Print("x");
            c.PowerOff();
        });
        Boot(rig);
        (await rig.Ended.WaitAsync(Patience)).Reason.Should().Be(MachineExitReason.PowerOff);
        Names(rig).Should().Equal("vmm starting", "vm booting", "cpu_manager create_vcpu", "vm booted", "vm shutdown", "vm deleted", "vmm shutdown");
    }

    [KvmFact]
    public async Task A_guest_that_resets_for_ever_is_ended_by_who_asks_for_it()
    {
        await using ApiRig rig = await StartAsync(static c =>
        {
            c.Out8(0x64, 0xFE);
            c.Spin();
        });
        Boot(rig);
        await Eventually(() => Names(rig).Count(static name => name == "vm rebooted") >= 2);
        rig.Ask("PUT", "/api/v1/vmm.shutdown").Status.Should().Be(204);
        await rig.Ended.WaitAsync(Patience);
    }

    [KvmFact]
    [Trait("Behaviour", "CTL-2")]
    public async Task Looking_and_changing_at_once_from_many_clients_gets_codes_and_ends()
    {
        await using ApiRig rig = await StartAsync(static c => c.Spin());
        Boot(rig);
        string[] looks = ["vm.info", "vm.counters", "vm.inspect", "vmm.ping"];
        string[] commands = ["vm.pause", "vm.resume", "vm.reboot", "vm.shutdown", "vm.boot"];
        int[] allowed = [200, 204, 404, 405];
        await Task.WhenAll(Enumerable.Range(0, 6).Select(client => Task.Run(() =>
        {
            var random = new Random(client);
            for (int i = 0; i < 40; i++)
            {
                RawAnswer answer = client < 3
                    ? rig.Ask("GET", "/api/v1/" + looks[random.Next(looks.Length)])
                    : rig.Ask("PUT", "/api/v1/" + commands[random.Next(commands.Length)]);
                answer.Status.Should().BeOneOf(allowed, answer.Body);
            }
        }))).WaitAsync(Patience * 3);
        rig.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
    }

    private static Task<ApiRig> StartAsync(Action<Assembler> write, TimeSpan? removalLimit = null)
    {
        TimeSpan limit = removalLimit ?? TimeSpan.FromMilliseconds(200);
        return ApiRig.StartAsync(kernel: TinyKernel.Linux64(write), server: options => options with { RemovalLimit = limit });
    }

    private static void Boot(ApiRig rig)
    {
        string body = $$"""
            {"payload":{"kernel":"{{rig.FileOf("kernel")}}"},"memory":{"size":134217728},"serial":{"mode":"File","file":"{{rig.FileOf("serial")}}"},
             "console":{"mode":"Off"} }
            """;
        rig.Ask("PUT", "/api/v1/vm.create", body).Should().Match<RawAnswer>(answer => answer.Status == 204);
        RawAnswer booted = rig.Ask("PUT", "/api/v1/vm.boot");
        booted.Status.Should().Be(204, booted.Body);
    }

    private static string StateOf(ApiRig rig)
    {
        using var info = JsonDocument.Parse(rig.Ask("GET", "/api/v1/vm.info").Body);
        return info.RootElement.GetProperty("state").GetString()!;
    }

    private static string[] Names(ApiRig rig) => [.. rig.Events.Select(static happened => $"{happened.Source} {happened.Name}")];

    private static async Task Eventually(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(Patience);
        while (!condition())
        {
            await Task.Delay(20, limit.Token);
        }
    }
}
