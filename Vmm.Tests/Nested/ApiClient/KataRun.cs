using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Tests.Api;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>A sandbox as the runtime of Kata Containers handles it: starts it with its root image, plugs disks in and out, ends it.</summary>
/// <remarks>
/// Its shared file system (vhost-user) and its connection to the agent (vsock) are not here. Ids and serials are ours, for the rounds to be told
/// apart; the runtime lets the VMM name disks.
/// </remarks>
internal sealed class KataRun(IReadOnlyDictionary<string, string> words)
{
    private const int Workers = 7;
    private const int Rounds = 3;

    private readonly string _socket = Path.GetFullPath("clh-api.sock");
    private readonly string _folder = Directory.CreateDirectory("disks").FullName;
    private readonly ConcurrentBag<double> _removals = [];

    public async Task RunAsync()
    {
        using var hypervisor = new Hypervisor(words["vmm"], true, "--api-socket", _socket, "-v", "--seccomp", "false");
        var console = new GuestConsole(hypervisor.Output, "console");
        WaitForPing(hypervisor);
        using var client = new GoClient(_socket);
        client.Put("vm.create", Describe()).Want(204, "vm.create");
        WantState(client, "Created");
        client.Put("vm.boot").Want(204, "vm.boot");
        WantState(client, "Running");
        await console.WaitAsync("STEP");

        // Once, since the first removal has the runtime open what it keeps.
        await PlugAsync(console, 0, 0);
        string before = hypervisor.Held(_folder);
        string disks = Disks(client);
        await Task.WhenAll(Enumerable.Range(1, Workers).Select(worker => Task.Run(() => RunWorkerAsync(console, worker))));
        string after = hypervisor.Held(_folder);
        for (int i = 0; i < 100 && after != before; i++)
        {
            // The system may take a moment to forget a thread that has ended.
            await Task.Delay(100);
            after = hypervisor.Held(_folder);
        }

        Facts.Say("LEFT", before == after && Disks(client) == disks ? "nothing" : $"before: {before} {disks}; after: {after} {Disks(client)}");
        Facts.Say("SLOWEST-REMOVAL", _removals.Max().ToString("f1", CultureInfo.InvariantCulture));
        Facts.Say("ROOT", string.Join(' ', console.Values("ROOT").Select(static line => line.Split(' ')[^1]).Distinct()));
        Facts.Say("ROOT-READS", console.Values("ROOT").Length);
        client.Put("vmm.shutdown").Want(204, "vmm.shutdown");
        Facts.Say("EXIT", hypervisor.WaitForExit());
        Facts.Say("FILES-LEFT", string.Join(' ', Directory.GetFileSystemEntries(".", "clh*").Select(Path.GetFileName)));
    }

    /// <summary>Asks until somebody answers, every 10 ms.</summary>
    private void WaitForPing(Hypervisor hypervisor)
    {
        DateTime end = DateTime.UtcNow + TimeSpan.FromSeconds(10);
        while (true)
        {
            Facts.Check(!hypervisor.HasExited, "the program has ended");
            try
            {
                using var client = new GoClient(_socket);
                JsonElement pong = client.Get("vmm.ping").Want(200, "vmm.ping").Json();
                Facts.Say("PING", pong.Text("version"));
                return;
            }
            catch (SocketException) when (DateTime.UtcNow < end)
            {
                Thread.Sleep(10);
            }
        }
    }

    /// <summary>Members in the order of the alphabet, defaults among them, as the runtime's client writes them.</summary>
    private string Describe()
    {
        string kernel = JsonEncodedText.Encode(words["kernel"]).ToString();
        string cmdline = JsonEncodedText.Encode(words["cmdline"]).ToString();
        string initramfs = JsonEncodedText.Encode(words["initramfs"]).ToString();
        string disk = JsonEncodedText.Encode(words["disk"]).ToString();
        return Facts.OneLine($$$"""
            {"console":{"iommu":false,"mode":"Off"},
            "cpus":{"boot_vcpus":1,"max_vcpus":4,"topology":{"cores_per_die":4,"dies_per_package":1,"packages":1,"threads_per_core":1}},
            "disks":[{"direct":false,"image_type":"Raw","iommu":false,"num_queues":1,"path":"{{{disk}}}","queue_size":128,
            "rate_limiter_config":{"bandwidth":{"one_time_burst":1073741824,"refill_time":1000,"size":1073741824}},
            "readonly":true,"vhost_user":false}],
            "iommu":false,
            "memory":{"hotplug_method":"Acpi","hotplug_size":4294967296,"hugepages":false,"mergeable":false,"prefault":false,
            "shared":true,"size":536870912,"thp":true},
            "payload":{"cmdline":"{{{cmdline}}}","initramfs":"{{{initramfs}}}","kernel":"{{{kernel}}}"},
            "platform":{"num_pci_segments":2},
            "rng":{"iommu":false,"src":"/dev/urandom"},
            "serial":{"iommu":false,"mode":"Tty"},
            "watchdog":false}
            """);
    }

    private static void WantState(GoClient client, string state)
    {
        string now = client.Get("vm.info").Want(200, "vm.info").Json().Text("state");
        Facts.Check(now == state, $"the VM is {now}, not {state}");
        Facts.Say("STATE-" + state, "yes");
    }

    private static string Disks(GoClient client)
    {
        JsonElement config = client.Get("vm.info").Want(200, "vm.info").Json().GetProperty("config");
        return string.Join(',', config.GetProperty("disks").EnumerateArray().Select(static disk => disk.Text("id")));
    }

    private async Task RunWorkerAsync(GuestConsole console, int worker)
    {
        for (int round = 1; round <= Rounds; round++)
        {
            await PlugAsync(console, worker, round);
        }

        Facts.Say($"ROUNDS-{worker}", Rounds);
    }

    /// <summary>A disk comes, the guest reads it where the answer said that it is, and it goes. Its id is the worker's, used again at once.</summary>
    private async Task PlugAsync(GuestConsole console, int worker, int round)
    {
        string serial = $"w{worker}r{round}";
        string path = Path.Combine(_folder, serial);
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        await File.WriteAllBytesAsync(path, content);
        using var client = new GoClient(_socket);
        string body = Facts.OneLine($$"""
            {"direct":false,"id":"clh_drive_{{worker}}","iommu":false,"num_queues":1,"path":"{{path}}","queue_size":1024,"readonly":true,
            "serial":"{{serial}}","vhost_user":false}
            """);
        JsonElement added = client.Put("vm.add-disk", body, answers: true).Want(200, "vm.add-disk").Json();
        Facts.Check(added.Text("id") == $"clh_drive_{worker}", $"another id: {added}");
        string where = added.Text("bdf");
        Facts.Check(
            where.StartsWith("0000:", StringComparison.Ordinal) && where.EndsWith(":00.0", StringComparison.Ordinal),
            $"no address of a slot: {added}");
        int bus = int.Parse(where.AsSpan(5, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        string digest = await console.WaitAsync($"SEEN {bus} {serial}");
        Facts.Check(
            digest == Convert.ToHexStringLower(SHA256.HashData(content)), $"{serial} at {where}: the guest has read something else: {digest}");
        RawAnswer taken = client.Put("vm.add-disk", body, answers: true);
        Facts.Check(taken.Status == 409, $"the id is taken, and the answer is {taken.Status} {taken.Body}");

        DateTime start = DateTime.UtcNow;
        client.Put("vm.remove-device", $$"""{"id":"clh_drive_{{worker}}"}""").Want(204, "vm.remove-device");
        _removals.Add((DateTime.UtcNow - start).TotalSeconds);
        File.Delete(path);
    }
}
