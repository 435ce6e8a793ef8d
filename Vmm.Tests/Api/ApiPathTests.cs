using System;
using System.IO.Pipes;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Vmm.DeviceModel.Interop;

namespace Vmm.Tests.Api;

/// <summary>The paths, bodies and codes of the API without a guest (CTL-1, CTL-2).</summary>
public sealed class ApiPathTests
{
    private const string Small = """{"payload":{"kernel":"/nowhere/vmlinuz","cmdline":"console=hvc0"},"cpus":{"boot_vcpus":2,"max_vcpus":2},"memory":{"size":268435456}}""";

    public static TheoryData<string, bool, int, string> Untimely
    {
        get
        {
            var data = new TheoryData<string, bool, int, string>();
            foreach (string word in (string[])["vm.pause", "vm.resume", "vm.shutdown", "vm.reboot", "vm.power-button", "vm.nmi"])
            {
                data.Add(word, false, 404, "no VM");
                data.Add(word, true, 405, "not booted");
            }

            data.Add("vm.boot", false, 404, "no VM");
            data.Add("vm.delete", false, 404, "no VM");
            return data;
        }
    }

    [Fact]
    public async Task Ping_says_who_answers()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        RawAnswer answer = rig.Ask("GET", "/api/v1/vmm.ping");
        answer.Status.Should().Be(200);
        answer.Head.Should().Contain("Content-Type: application/json");
        using var json = JsonDocument.Parse(answer.Body);
        json.RootElement.GetProperty("version").GetString().Should().Be("v53.0.0");
        json.RootElement.GetProperty("pid").GetInt32().Should().Be(Environment.ProcessId);
        json.RootElement.GetProperty("features").GetArrayLength().Should().BeGreaterThan(0);
    }

    [Fact]
    public async Task A_VM_is_created_once_shown_and_deleted()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Ask("GET", "/api/v1/vm.info").Status.Should().Be(404);
        client.Ask("PUT", "/api/v1/vm.create", Small).Should().Match<RawAnswer>(answer => answer.Status == 204 && answer.Body.Length == 0);
        client.Ask("PUT", "/api/v1/vm.create", Small).Status.Should().Be(409);
        RawAnswer info = client.Ask("GET", "/api/v1/vm.info");
        info.Status.Should().Be(200);
        using var json = JsonDocument.Parse(info.Body);
        json.RootElement.GetProperty("state").GetString().Should().Be("Created");
        json.RootElement.GetProperty("memory_actual_size").GetInt64().Should().Be(268435456);
        JsonElement config = json.RootElement.GetProperty("config");
        config.GetProperty("cpus").GetProperty("boot_vcpus").GetInt32().Should().Be(2);
        config.GetProperty("payload").GetProperty("cmdline").GetString().Should().Be("console=hvc0");
        client.Ask("PUT", "/api/v1/vm.delete").Status.Should().Be(204);
        client.Ask("GET", "/api/v1/vm.info").Status.Should().Be(404);
        rig.Events.Select(static happened => $"{happened.Source} {happened.Name}").Should().Equal("vmm starting", "vm deleted");
    }

    [Theory]
    [Trait("Behaviour", "CTL-2")]
    [MemberData(nameof(Untimely))]
    public async Task A_command_without_a_VM_or_in_the_wrong_state_says_which_it_is(string word, bool created, int status, string said)
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        if (created)
        {
            client.Ask("PUT", "/api/v1/vm.create", Small).Status.Should().Be(204);
        }

        RawAnswer answer = client.Ask("PUT", "/api/v1/" + word);
        answer.Status.Should().Be(status);
        Sentence(answer).Should().Contain(said);
    }

    [Theory]
    [InlineData("vm.resize")]
    [InlineData("vm.add-fs")]
    [InlineData("vm.add-vsock")]
    [InlineData("vm.snapshot")]
    [InlineData("vm.send-migration")]
    public async Task A_path_that_is_not_here_is_named(string word)
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        RawAnswer answer = rig.Ask("PUT", "/api/v1/" + word, "{}");
        answer.Status.Should().Be(501);
        Sentence(answer).Should().Contain(word);
    }

    [Theory]
    [InlineData("GET", "/api/v1/vm.frobnicate", 404)]
    [InlineData("GET", "/", 404)]
    [InlineData("GET", "/api/v2/vm.info", 404)]
    [InlineData("GET", "/api/v1/vm.boot", 405)]
    [InlineData("DELETE", "/api/v1/vm.create", 405)]
    [InlineData("PUT", "/api/v1/vmm.ping", 405)]
    public async Task Paths_and_methods_that_nobody_has_get_their_code(string method, string path, int status)
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        RawAnswer answer = rig.Ask(method, path);
        answer.Status.Should().Be(status);
        Sentence(answer).Should().NotBeEmpty();
    }

    [Theory]
    [InlineData("", "body")]
    [InlineData("{", "JSON")]
    [InlineData("[]", "object")]
    [InlineData("""{"payload":{"kernel":"a"},"payload":{"kernel":"b"}}""", "JSON")]
    [InlineData("{}", "payload")]
    [InlineData("""{"payload":{}}""", "payload.kernel")]
    [InlineData("""{"payload":{"kernel":5}}""", "payload.kernel")]
    [InlineData("""{"payload":{"kernel":"a\u0000b"}}""", "payload.kernel")]
    [InlineData("""{"payload":{"kernel":"\ud800"}}""", "payload.kernel")]
    [InlineData("""{"payload":{"kernel":"k","\ud800":1}}""", "JSON")]
    [InlineData("""{"payload":{"kernel":"k"},"frobnicate":"\ud800"}""", "frobnicate")]
    [InlineData("""{"payload":{"kernel":"k","firmware":"hypervisor-fw"}}""", "payload.firmware")]
    [InlineData("""{"payload":{"kernel":"k"},"cpus":{"boot_vcpus":0}}""", "cpus.boot_vcpus")]
    [InlineData("""{"payload":{"kernel":"k"},"cpus":{"boot_vcpus":255}}""", "cpus.boot_vcpus")]
    [InlineData("""{"payload":{"kernel":"k"},"cpus":{"boot_vcpus":1,"kvm_hyperv":true}}""", "cpus.kvm_hyperv")]
    [InlineData("""{"payload":{"kernel":"k"},"memory":{"size":4097}}""", "memory.size")]
    [InlineData("""{"payload":{"kernel":"k"},"memory":{"size":-1}}""", "memory.size")]
    [InlineData("""{"payload":{"kernel":"k"},"memory":{"size":268435456,"zones":[{"id":"z"}]}}""", "memory.zones")]
    [InlineData("""{"payload":{"kernel":"k"},"disks":[{"readonly":true}]}""", "path")]
    [InlineData("""{"payload":{"kernel":"k"},"disks":[{"path":"d","vhost_user":true}]}""", "disks[0].vhost_user")]
    [InlineData("""{"payload":{"kernel":"k"},"disks":[{"path":"d","pci_segment":1}]}""", "disks[0].pci_segment")]
    [InlineData("""{"payload":{"kernel":"k"},"disks":[{"path":"d","image_type":"Qcow2"}]}""", "disks[0].image_type")]
    [InlineData("""{"payload":{"kernel":"k"},"disks":[{"path":"d\",readonly=on"}]}""", "disks[0].path")]
    [InlineData("""{"payload":{"kernel":"k"},"disks":{"path":"d"}}""", "disks")]
    [InlineData("""{"payload":{"kernel":"k"},"net":[{"tap":"t","mtu":9000}]}""", "net[0].mtu")]
    [InlineData("""{"payload":{"kernel":"k"},"vsock":{"cid":3,"socket":"/s"}}""", "vsock")]
    [InlineData("""{"payload":{"kernel":"k"},"fs":[{"tag":"f","socket":"/s"}]}""", "fs")]
    [InlineData("""{"payload":{"kernel":"k"},"iommu":true}""", "iommu")]
    [InlineData("""{"payload":{"kernel":"k"},"tpm":{"socket":"/s"}}""", "tpm")]
    [InlineData("""{"payload":{"kernel":"k"},"serial":{"mode":"Socket","socket":"/s"}}""", "serial.mode")]
    [InlineData("""{"payload":{"kernel":"k"},"platform":{"serial_number":"7"}}""", "platform.serial_number")]
    [InlineData("""{"payload":{"kernel":"k"},"landlock_enable":true}""", "landlock_enable")]
    [InlineData("""{"payload":{"kernel":"k"},"debug_console":{"mode":"File","file":"/x"}}""", "debug_console.mode")]
    [InlineData("""{"payload":{"kernel":"k"},"cpus":{"boot_vcpus":1,"nested":false}}""", "cpus.nested")]
    [InlineData("""{"payload":{"kernel":"k"},"cpus":{"boot_vcpus":1,"max_phys_bits":40}}""", "cpus.max_phys_bits")]
    [InlineData("""{"payload":{"kernel":"k"},"net":[{"tap":"t","offload_csum":false}]}""", "net[0].offload_csum")]
    [InlineData("""{"payload":{"kernel":"k"},"serial":{"mode":"Tty"}}""", "console.mode")]
    [InlineData("""{"payload":{"kernel":"k"},"frobnicate":1}""", "frobnicate")]
    public async Task A_description_that_is_wrong_or_asks_for_what_is_not_here_is_refused_by_name(string body, string named)
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        RawAnswer answer = rig.Ask("PUT", "/api/v1/vm.create", body);
        answer.Status.Should().Be(400);
        Sentence(answer).Should().Contain(named);
        rig.Ask("GET", "/api/v1/vm.info").Status.Should().Be(404);
    }

    [Fact]
    public async Task Members_that_say_nothing_are_accepted()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        const string Body = """
            {"payload":{"kernel":"k","cmdline":null,"initramfs":"","firmware":null},"cpus":{"boot_vcpus":1,"max_vcpus":8,"affinity":[],"features":{"amx":false}},
             "memory":{"size":268435456,"mergeable":false,"zones":null,"hotplug_method":"Acpi","hotplug_size":1073741824,"shared":true,"prefault":true},
             "disks":[{"path":"d","readonly":true,"iommu":false,"num_queues":2,"queue_size":128,"vhost_user":false,"pci_segment":0,"image_type":"Raw"}],
             "net":[],"fs":null,"pmem":[],"vsock":null,"iommu":false,"watchdog":false,"sgx_epc":[],"frobnicate":{"a":[0,false,""]},
             "rng":{"src":"/dev/urandom","iommu":false},"serial":{"mode":"Null"},"console":{"mode":"Off","file":null}}
            """;
        rig.Ask("PUT", "/api/v1/vm.create", Body).Should().Match<RawAnswer>(answer => answer.Status == 204);
        using var json = JsonDocument.Parse(rig.Ask("GET", "/api/v1/vm.info").Body);
        JsonElement disk = json.RootElement.GetProperty("config").GetProperty("disks")[0];
        disk.GetProperty("readonly").GetBoolean().Should().BeTrue();
        disk.GetProperty("num_queues").GetInt32().Should().Be(2);
        disk.GetProperty("queue_size").GetInt32().Should().Be(128);
    }

    [Fact]
    public async Task Devices_come_and_go_before_the_boot()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Ask("PUT", "/api/v1/vm.add-disk", """{"path":"d"}""").Status.Should().Be(404);
        client.Ask("PUT", "/api/v1/vm.create", Small).Status.Should().Be(204);
        client.Ask("PUT", "/api/v1/vm.add-disk", """{"path":"d","id":"one"}""").Status.Should().Be(204);
        client.Ask("PUT", "/api/v1/vm.add-disk", """{"path":"e","id":"one"}""").Status.Should().Be(409);
        client.Ask("PUT", "/api/v1/vm.add-disk", """{"path":"e"}""").Status.Should().Be(204);
        client.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"two"}""").Status.Should().Be(400);
        client.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"one"}""").Status.Should().Be(204);
        client.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"one"}""").Status.Should().Be(400);
        using var json = JsonDocument.Parse(client.Ask("GET", "/api/v1/vm.info").Body);
        json.RootElement.GetProperty("config").GetProperty("disks").EnumerateArray().Select(static disk => disk.GetProperty("path").GetString())
            .Should().Equal("e");
    }

    [Theory]
    [InlineData("vm.remove-device", """{"id":"card"}""")]
    [InlineData("vm.delete", null)]
    [InlineData("vmm.shutdown", null)]
    public async Task Descriptors_that_came_with_a_card_are_closed_when_it_goes(string word, string? body)
    {
        const string Card = """{"id":"card"}""";
        await using ApiRig rig = await ApiRig.StartAsync();
        using var reader = new AnonymousPipeServerStream(PipeDirection.In);
        using RawClient client = rig.Connect();
        client.Ask("PUT", "/api/v1/vm.create", Small).Status.Should().Be(204);
        client.Send(
            $"PUT /api/v1/vm.add-net HTTP/1.1\r\nHost: localhost\r\nContent-Length: {Card.Length}\r\n\r\n{Card}",
            (int)reader.ClientSafePipeHandle.DangerousGetHandle());
        client.ReadAnswer().Status.Should().Be(204);
        reader.DisposeLocalCopyOfClientHandle();
        DescriptorIo.IsReadable((int)reader.SafePipeHandle.DangerousGetHandle()).Should().BeFalse("the card has the other end");
        client.Ask("PUT", "/api/v1/" + word, body).Status.Should().Be(204);
        int read = await reader.ReadAsync(new byte[1]).AsTask().WaitAsync(TimeSpan.FromSeconds(30));
        read.Should().Be(0, "nobody has the other end any more");
    }

    [Fact]
    [Trait("Behaviour", "CTL-6")]
    public async Task The_ids_that_are_shown_are_those_that_name_devices()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Ask("PUT", "/api/v1/vm.create", """{"payload":{"kernel":"k"},"disks":[{"path":"a"},{"path":"b","id":"named"},{"path":"c"}]}""").Status.Should().Be(204);
        Ids(client).Should().Equal("disk0", "named", "disk2");
        client.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"named"}""").Status.Should().Be(204);
        Ids(client).Should().Equal("disk0", "disk2");
        client.Ask("PUT", "/api/v1/vm.add-disk", """{"path":"d"}""").Status.Should().Be(204);
        client.Ask("PUT", "/api/v1/vm.add-disk", """{"path":"e"}""").Status.Should().Be(204);
        Ids(client).Should().OnlyHaveUniqueItems().And.HaveCount(4).And.StartWith(["disk0", "disk2"]);
        client.Ask("PUT", "/api/v1/vm.remove-device", """{"id":"disk0"}""").Status.Should().Be(204);
    }

    [Fact]
    public async Task A_kernel_that_is_a_pipe_is_refused_and_not_waited_for()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        Vmm.Tests.Cli.VmmProcess.RunProgram("mkfifo", [rig.FileOf("pipe")]).Status.Should().Be(0);
        rig.Ask("PUT", "/api/v1/vm.create", $$"""{"payload":{"kernel":"{{rig.FileOf("pipe")}}"} }""").Status.Should().Be(204);
        RawAnswer answer = rig.Ask("PUT", "/api/v1/vm.boot");
        answer.Status.Should().Be(500);
        Sentence(answer).Should().Contain("not a regular file");
    }

    [Fact]
    public async Task A_VM_that_cannot_boot_says_why_and_can_be_deleted()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Ask("PUT", "/api/v1/vm.create", Small).Status.Should().Be(204);
        RawAnswer answer = client.Ask("PUT", "/api/v1/vm.boot");
        answer.Status.Should().Be(500);
        Sentence(answer).Should().Contain("/nowhere/vmlinuz");
        client.Ask("PUT", "/api/v1/vm.delete").Status.Should().Be(204);
    }

    [Fact]
    public async Task The_end_of_the_VMM_is_answered_and_comes()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        rig.Ask("PUT", "/api/v1/vmm.shutdown").Status.Should().Be(204);
        (await rig.Ended.WaitAsync(TimeSpan.FromSeconds(30))).Reason.Should().Be(Vmm.Machine.MachineExitReason.Stopped);
        rig.Events.Select(static happened => $"{happened.Source} {happened.Name}").Should().Equal("vmm starting", "vmm shutdown");
    }

    [Fact]
    public async Task A_controller_that_is_disposed_from_another_thread_has_ended_then()
    {
        for (int round = 0; round < 20; round++)
        {
            var controller = new Vmm.Machine.Control.MachineController();
            Task<Vmm.Machine.MachineExit> run = Task.Factory.StartNew(controller.Run, TaskCreationOptions.LongRunning);
            await controller.CreateAsync(new Vmm.Machine.MachineOptions { KernelPath = "k" });
            await Task.Run(controller.Dispose).WaitAsync(TimeSpan.FromSeconds(30));
            (await run.WaitAsync(TimeSpan.FromSeconds(30))).Reason.Should().Be(Vmm.Machine.MachineExitReason.Stopped);
            controller.Info.Options.Should().BeNull();
        }
    }

    [Fact]
    public async Task Metrics_have_the_form_of_OpenMetrics()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        RawAnswer answer = rig.Ask("GET", "/metrics");
        answer.Status.Should().Be(200);
        answer.Head.Should().Contain("application/openmetrics-text; version=1.0.0");
        answer.Body.Should().Contain("vmm_state{vmm_state=\"None\"} 1\n").And.Contain("vmm_state{vmm_state=\"Running\"} 0\n").And.EndWith("# EOF\n");
    }

    private static string?[] Ids(RawClient client)
    {
        using var json = JsonDocument.Parse(client.Ask("GET", "/api/v1/vm.info").Body);
        return [.. json.RootElement.GetProperty("config").GetProperty("disks").EnumerateArray().Select(static disk => disk.GetProperty("id").GetString())];
    }

    private static string Sentence(RawAnswer answer)
    {
        using var json = JsonDocument.Parse(answer.Body);
        return string.Join(": ", json.RootElement.EnumerateArray().Select(static part => part.GetString()));
    }
}
