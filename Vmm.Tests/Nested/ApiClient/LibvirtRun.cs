using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using Microsoft.Win32.SafeHandles;
using Vmm.Tests.Api;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>A domain as libvirt's driver for cloud-hypervisor handles it: starts, suspends, resumes, reboots and stops it.</summary>
internal sealed class LibvirtRun(IReadOnlyDictionary<string, string> words)
{
    private const string Tap = "vmmapi0";

    private readonly string _socket = Path.GetFullPath("libvirt-socket");
    private readonly string _pipe = Path.GetFullPath("event-monitor-fifo");

    public void Run()
    {
        AskVersion();
        NativeCalls.MakePipe(_pipe);
        using Hypervisor hypervisor = Start();
        var events = new EventPipe(_pipe);
        events.Wait("vmm:starting");
        using var client = new CurlClient(_socket);
        client.Put("vm.create", Describe()).Want(204, "vm.create");
        using (SafeFileHandle tap = OpenTap())
        {
            AddNet(tap);
        }

        client.PutChunked("vm.boot").Want(204, "vm.boot");
        Facts.Say("THREADS-AT-BOOT", string.Join(' ', hypervisor.Threads));
        JsonElement info = Info(client, "Running");
        string serial = info.Text("config", "serial", "file");
        Facts.Say("SERIAL", serial);
        var console = new GuestConsole(new FileStream(NativeCalls.OpenTerminal(serial), FileAccess.Read, bufferSize: 0), "console");
        var second = new GuestConsole(
            new FileStream(NativeCalls.OpenTerminal(info.Text("config", "console", "file")), FileAccess.Read, bufferSize: 0), "second");
        LookAtGuest(console, 1);
        Facts.Say("THREADS", string.Join(' ', hypervisor.Threads));
        second.Wait("HVC");
        Facts.Say("SECOND-CONSOLE", "speaks");
        Suspend(client, console);

        // The guest starts anew; those who have its terminal open keep it, and the tap is the same.
        client.Put("vm.reboot").Want(204, "vm.reboot");
        LookAtGuest(console, 2);
        Facts.Say("SAME-SERIAL", Info(client, "Running").Text("config", "serial", "file") == serial ? "yes" : "no");
        client.Put("vm.shutdown").Want(204, "vm.shutdown");
        _ = Info(client, "Shutdown");
        client.Put("vmm.shutdown").Want(204, "vmm.shutdown");
        Facts.Say("EXIT", hypervisor.WaitForExit());
        events.WaitForEnd();
        Facts.Say("EVENTS", string.Join(' ', events.Names));
        Facts.Say("TAP-LEFT", Directory.Exists($"/sys/class/net/{Tap}") ? "yes" : "no");
    }

    private void AskVersion()
    {
        string link = Path.GetFullPath("cloud-hypervisor");
        File.CreateSymbolicLink(link, words["vmm"]);
        using Process process = Process.Start(new ProcessStartInfo(link, "--version") { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Facts.Say("VERSION", output.Trim());
        Facts.Check(process.ExitCode == 0, $"--version ends with {process.ExitCode}");
    }

    /// <summary>A socket of ours, which listens already, is the child's by its number.</summary>
    private Hypervisor Start()
    {
        using var listening = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listening.Bind(new UnixDomainSocketEndPoint(_socket + ".new"));
        listening.Listen(1);

        // .NET removes the name that it gave when the socket is closed, and libvirt does not.
        File.Move(_socket + ".new", _socket);
        NativeCalls.Inherit(listening.SafeHandle);
        string number = listening.SafeHandle.DangerousGetHandle().ToString(CultureInfo.InvariantCulture);
        return new Hypervisor(words["vmm"], false, "--api-socket", "fd=" + number, "--event-monitor", "path=" + _pipe);
    }

    private string Describe()
    {
        string kernel = JsonEncodedText.Encode(words["kernel"]).ToString();
        string cmdline = JsonEncodedText.Encode(words["cmdline"]).ToString();
        string initramfs = JsonEncodedText.Encode(words["initramfs"]).ToString();
        string disk = JsonEncodedText.Encode(words["disk"]).ToString();
        return Facts.OneLine($$"""
            {"console":{"mode":"Pty"},"serial":{"mode":"Pty"},"cpus":{"boot_vcpus":1,"max_vcpus":1},"memory":{"size":536870912},
            "payload":{"kernel":"{{kernel}}","cmdline":"{{cmdline}}","initramfs":"{{initramfs}}"},"disks":[{"path":"{{disk}}","readonly":true}]}
            """);
    }

    private static SafeFileHandle OpenTap()
    {
        SafeFileHandle tap = NativeCalls.OpenTap(Tap);
        foreach (string arguments in (string[])[$"addr add 192.168.58.1/24 dev {Tap}", $"link set {Tap} up"])
        {
            using var process = Process.Start("ip", arguments);
            process.WaitForExit();
            Facts.Check(process.ExitCode == 0, $"ip {arguments} ends with {process.ExitCode}");
        }

        return tap;
    }

    /// <summary>A request of its own on a connection of its own, with the descriptors of the tap in the message that carries it.</summary>
    private void AddNet(SafeFileHandle tap)
    {
        const string Body = """{"id":"net_0","mac":"52:54:00:c1:0d:01","num_queues":2}""";
        using var connection = new RawClient(_socket);
        connection.Send(
            string.Create(
                CultureInfo.InvariantCulture,
                $"PUT /api/v1/vm.add-net HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + $"Content-Length: {Encoding.UTF8.GetByteCount(Body)}\r\n\r\n{Body}"),
            (int)tap.DangerousGetHandle());
        connection.ReadAnswer().Want(204, "vm.add-net");
    }

    private static JsonElement Info(CurlClient client, string state)
    {
        JsonElement info = client.Get("vm.info").Want(200, "vm.info").Json();
        Facts.Check(info.Text("state") == state, $"the VM is {info.Text("state")}, not {state}");
        return info;
    }

    private static void LookAtGuest(GuestConsole console, int boot)
    {
        foreach (string key in (string[])["MAC", "SUM", "PING"])
        {
            Facts.Say($"{key}-{boot}", console.Wait(key, boot));
        }
    }

    private static void Suspend(CurlClient client, GuestConsole console)
    {
        console.Wait("COUNT");
        client.PutChunked("vm.pause").Want(204, "vm.pause");

        // What was on its way arrives.
        Thread.Sleep(500);
        int before = console.Values("COUNT").Length;
        _ = Info(client, "Paused");
        Thread.Sleep(1500);
        int after = console.Values("COUNT").Length;
        Facts.Say("COUNTED-WHILE-PAUSED", after - before);
        client.Put("vm.resume").Want(204, "vm.resume");
        _ = Info(client, "Running");
        console.Wait("COUNT", after + 3);
        Facts.Say("COUNTS-AFTER", "on");
    }
}
