using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Vmm.Tests.Api;

/// <summary>Requests as clients send them on the wire, good ones and bad ones (CTL-1, CTL-5).</summary>
[Trait("Behaviour", "CTL-5")]
public sealed class ApiWireTests
{
    private const string Config = """{"payload":{"kernel":"k"}}""";

    public static TheoryData<string> Bodyless => new()
    {
        "PUT /api/v1/vm.delete HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PUT /api/v1/vm.delete HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "PUT /api/v1/vm.delete HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
        "PUT /api/v1/vm.delete HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT /api/v1/vm.delete HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n",
        "PUT /api/v1/vm.delete HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    };

    [Theory]
    [MemberData(nameof(Bodyless))]
    public async Task A_request_without_a_body_is_taken_in_every_form(string request)
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Ask("PUT", "/api/v1/vm.create", Config).Status.Should().Be(204);
        client.Send(request);
        Final(client).Status.Should().Be(204);

        // The connection stays usable.
        client.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
    }

    [Fact]
    public async Task A_body_waits_for_100_continue_where_its_client_asks_for_it()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Send($"PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nContent-Length: {Config.Length}\r\nExpect: 100-continue\r\n\r\n");
        client.ReadAnswer().Status.Should().Be(100);
        client.Send(Config);
        client.ReadAnswer().Status.Should().Be(204);
    }

    [Fact]
    public async Task A_chunked_body_is_put_together()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Send("PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        foreach (char c in Config)
        {
            client.Send($"1\r\n{c}\r\n");
        }

        client.Send("0\r\n\r\n");
        client.ReadAnswer().Status.Should().Be(204);
    }

    [Fact]
    public async Task A_client_that_sends_no_more_gets_its_answer()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        for (int round = 0; round < 100; round++)
        {
            using RawClient client = rig.Connect();
            client.Send($"PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nContent-Length: {Config.Length}\r\n\r\n{Config}");
            client.Socket.Shutdown(SocketShutdown.Send);
            client.ReadAnswer().Status.Should().Be(204);
            using RawClient other = rig.Connect();
            other.Send("PUT /api/v1/vm.delete HTTP/1.1\r\nHost: localhost\r\n\r\n");
            other.Socket.Shutdown(SocketShutdown.Send);
            other.ReadAnswer().Status.Should().Be(204);
        }
    }

    [Theory]
    [InlineData("GARBAGE\r\n\r\n", 400)]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\r\nHost localhost\r\n\r\n", 400)]
    [InlineData("GET /api/v1/vmm.ping HTTP/9.1\r\nHost: localhost\r\n\r\n", 505)]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400)]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n", 413)]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400)]
    public async Task What_is_no_request_gets_its_code_and_harms_nobody(string request, int status)
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Send(request);
        client.ReadAnswer().Status.Should().Be(status);
        rig.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
    }

    [Fact]
    public async Task A_body_of_ten_megabytes_is_refused_and_not_kept()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using RawClient client = rig.Connect();
        client.Send("PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10485760\r\n\r\n");
        try
        {
            client.Send(new byte[10 << 20]);
        }
        catch (SocketException)
        {
            // The server has hung up on it.
        }

        client.ReadAnswer().Status.Should().Be(413);
        rig.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
    }

    [Fact]
    public async Task Descriptors_that_nobody_asked_for_are_closed()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        using (RawClient warm = rig.Connect())
        {
            warm.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
        }

        string name = Path.Combine(Path.GetTempPath(), $"vmm-descriptors-{Guid.NewGuid():N}");
        using (FileStream file = File.Create(name))
        {
            int[] many = [.. Enumerable.Repeat((int)file.SafeFileHandle.DangerousGetHandle(), 200)];
            using RawClient client = rig.Connect();
            for (int i = 0; i < 5; i++)
            {
                client.Send("GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\n\r\n", many);
                client.ReadAnswer().Status.Should().Be(200);
            }

            // And those of a request that never ends.
            client.Send("GET /api/v1/vmm.ping HTTP/1.1\r\n", many);
            client.Send("X: y\r\n", many);
        }

        await Eventually(() => CountOpen(name) == 0);
        File.Delete(name);
    }

    [Fact]
    public async Task More_clients_than_there_are_places_keep_nobody_out_for_good()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        var clients = new List<RawClient>();
        for (int i = 0; i < 200; i++)
        {
            clients.Add(rig.Connect());
        }

        int served = 0;
        foreach (RawClient client in clients)
        {
            try
            {
                served += client.Ask("GET", "/api/v1/vmm.ping").Status == 200 ? 1 : 0;
            }
            catch (SocketException)
            {
                // Hung up on.
            }
        }

        served.Should().BeInRange(1, 64);
        clients.ForEach(static client => client.Dispose());
        await Eventually(() => Answers(rig));
    }

    [Fact]
    public async Task Two_clients_that_create_at_once_get_one_success_and_one_conflict_each_time()
    {
        await using ApiRig rig = await ApiRig.StartAsync();
        for (int round = 0; round < 100; round++)
        {
            int[] statuses = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(() => rig.Ask("PUT", "/api/v1/vm.create", Config).Status)));
            statuses.Order().Should().Equal(204, 409);
            rig.Ask("PUT", "/api/v1/vm.delete").Status.Should().Be(204);
        }
    }

    [Fact]
    public async Task Requests_from_a_generator_get_a_code_and_leave_the_server_well()
    {
        int count = Soak.On ? 100_000 : 600;
        await using ApiRig rig = await ApiRig.StartAsync();
        var random = new Random(7);
        string[] words = ["vmm.ping", "vm.info", "vm.create", "vm.boot", "vm.delete", "vm.add-disk", "vm.add-net", "vm.remove-device", "vm.resize", "vm.counters", "x"];
        string[] methods = ["GET", "PUT", "POST", "DELETE", "put", "OPTIONS"];
        string[] pieces =
        [
            "{", "}", "[", "]", ",", ":", "\"payload\"", "\"kernel\"", "\"id\"", "\"path\"", "\"disks\"", "null", "true", "-1", "1e999", "\"\\ud800\"", "18446744073709551616",
            "{\"payload\":{\"kernel\":\"/nowhere\"}}", "{\"path\":\"/nowhere\"}", "\0", "\u00e9",
        ];
        RawClient? client = null;
        for (int i = 0; i < count; i++)
        {
            client ??= rig.Connect();

            // A request that is not whole is not answered for a while.
            client.Socket.ReceiveTimeout = 250;
            string body = string.Concat(Enumerable.Range(0, random.Next(8)).Select(_ => pieces[random.Next(pieces.Length)]));
            string head = random.Next(6) switch
            {
                0 => "",
                1 => string.Create(CultureInfo.InvariantCulture, $"Content-Length: {random.Next(-2, 64)}\r\n"),
                2 => "X-" + new string('a', random.Next(64)) + ": " + new string('b', random.Next(2000)) + "\r\n",
                _ => string.Create(CultureInfo.InvariantCulture, $"Content-Length: {Encoding.UTF8.GetByteCount(body)}\r\n"),
            };
            try
            {
                client.Send(Encoding.UTF8.GetBytes(
                    $"{methods[random.Next(methods.Length)]} /api/v1/{words[random.Next(words.Length)]} HTTP/1.1\r\nHost: h\r\n{head}\r\n{body}"));
                RawAnswer answer = client.ReadAnswer();
                answer.Status.Should().Match(status => status == 0 || (status >= 200 && status < 600), "request {0}", i);
                if (answer.Status >= 400 && answer.Body.Length != 0)
                {
                    answer.Body.Should().StartWith("[\"");
                }
            }
            catch (SocketException)
            {
                // It has hung up on a bad one while that was sent, or waits for the rest.
            }

            client.Dispose();
            client = null;
        }

        await Eventually(() => Answers(rig));
    }

    private static bool Answers(ApiRig rig)
    {
        try
        {
            return rig.Ask("GET", "/api/v1/vmm.ping").Status == 200;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>The answer after those that only say to go on.</summary>
    private static RawAnswer Final(RawClient client)
    {
        RawAnswer answer = client.ReadAnswer();
        return answer.Status == 100 ? client.ReadAnswer() : answer;
    }

    private static int CountOpen(string path) => Directory.GetFiles("/proc/self/fd").Count(descriptor => TargetOf(descriptor) == path);

    private static string? TargetOf(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task Eventually(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!condition())
        {
            await Task.Delay(20, limit.Token);
        }
    }
}
