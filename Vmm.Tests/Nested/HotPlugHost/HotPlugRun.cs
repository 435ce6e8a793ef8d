using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Samples.Balloon;
using Samples.Edu;
using Vmm.DeviceModel.Bus;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Virtio.Transport;
using BalloonOptions = Samples.Balloon.BalloonOptions;

namespace Vmm.Tests.Nested.HotPlugHost;

/// <summary>One guest, and the steps that are done to it.</summary>
internal sealed class HotPlugRun
{
    private const long InBalloon = 64 << 20;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly GuestConsole _console;
    private readonly MachineOptions _options;
    private readonly string[] _steps;

    public HotPlugRun(IReadOnlyDictionary<string, string> words)
    {
        _console = new GuestConsole(words["console"]);
        _steps = words["steps"].Split(',');
        bool power = words.GetValueOrDefault("power") == "on";
        _options = new MachineOptions
        {
            KernelPath = words["kernel"],
            InitramfsPath = words["initramfs"],
            CommandLine = words["cmdline"],
            CpuCount = Number(words["cpus"]),
            Memory = new MemoryOptions(512 << 20),
            Serial = new CharacterOptions(CharacterKind.File, words["console"]),
            RootPorts = [.. Enumerable.Range(1, Number(words["ports"]))
                .Select(i => new PciRootPortOptions { Name = $"port{i}", SlotNumber = i, PowerController = power })],
        };
    }

    /// <summary>Runs the guest to its end.</summary>
    /// <returns>True if nothing was left behind.</returns>
    public bool Run()
    {
        using var machine = VirtualMachine.Create(_options);
        machine.Start();
        RunAsync(machine).GetAwaiter().GetResult();
        MachineExit exit = machine.WaitForExit();
        Say("ENDED", $"{exit.Reason} {exit.Detail}".Trim());
        return exit.Reason is MachineExitReason.PowerOff or MachineExitReason.Stopped;
    }

    private async Task RunAsync(VirtualMachine machine)
    {
        await _console.WaitAsync("GUEST-READY");
        foreach (string step in _steps)
        {
            await _console.WaitAsync("STEP-" + step.Split(':')[0]);
            var before = HostResources.Of(machine);
            long start = Stopwatch.GetTimestamp();
            await RunStepAsync(machine, step);
            Say("SECONDS-" + step, $"{Stopwatch.GetElapsedTime(start).TotalSeconds:f1}");
            HostResources after = await SettleAsync(machine, before);
            Say("LEFT-" + step, before == after ? "nothing" : $"before: {before}; after: {after}");
        }

        if (_steps[^1] == "lost")
        {
            // Its kernel cannot be relied on to end: see SlotRemoval.
            machine.RequestStop();
        }
    }

    /// <summary>What is held now; the system may take a moment to forget a thread that has ended.</summary>
    private static async Task<HostResources> SettleAsync(VirtualMachine machine, HostResources before)
    {
        DateTime end = DateTime.UtcNow + TimeSpan.FromSeconds(10);
        var now = HostResources.Of(machine);
        while (now != before && DateTime.UtcNow < end)
        {
            await Task.Delay(100);
            now = HostResources.Of(machine);
        }

        return now;
    }

    private async Task RunStepAsync(VirtualMachine machine, string step)
    {
        string[] words = step.Split(':', 'x');
        switch (words[0])
        {
            case "disks":
                await Task.WhenAll(
                    Enumerable.Range(1, Number(words[1])).Select(port => Task.Run(() => RunDisksAsync(machine, port, Number(words[2])))));
                break;
            case "net":
                machine.HotAdd(
                    new NetOptions("vmmhot0", HostAddress: IPAddress.Parse("192.168.57.1"), HostMask: IPAddress.Parse("255.255.255.0"))
                    {
                        Id = "hotnet",
                    },
                    "port1");
                Say("PINGED", await _console.WaitAsync("PING"));
                await machine.HotRemoveAsync("hotnet").WaitAsync(Patience);
                await _console.WaitAsync("NET-GONE");
                break;
            case "plain":
                for (int round = 1; round <= Number(words[1]); round++)
                {
                    string id = machine.HotAdd(new FunctionOptions(context => MakePlain(context.Id, round)), "port1");
                    Check("class and number", await _console.WaitAsync("SEEN", round), $"0xff0000 0x{round:x4}");
                    await machine.HotRemoveAsync(id, SlotRemoval.Surprise);
                    await _console.WaitAsync("PLAIN-GONE", round);
                }

                break;
            case "lost":
                string digest = AddDisk(machine, 1, 1);
                Check("digest", await _console.WaitAsync("READING"), digest);
                await machine.HotRemoveAsync("hot1", SlotRemoval.Surprise);
                await _console.WaitAsync("ALIVE");
                break;
            case "samples":
                await RunSamplesAsync(machine);
                break;
            default:
                throw new ArgumentException($"no step is called {words[0]}");
        }
    }

    private async Task RunDisksAsync(VirtualMachine machine, int port, int rounds)
    {
        for (int round = 1; round <= rounds; round++)
        {
            string digest = AddDisk(machine, port, round);
            Check($"port {port} round {round}: digest", await _console.WaitAsync($"P{port}-SUM", round), digest);
            await machine.HotRemoveAsync($"hot{port}").WaitAsync(Patience);
            await _console.WaitAsync($"P{port}-GONE", round);
            File.Delete(DiskOf(port, round));
        }

        Say($"ROUNDS-{port}", rounds.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>The samples, as functions of an embedder's own: the guest's script drives the one, Linux's driver the other.</summary>
    private async Task RunSamplesAsync(VirtualMachine machine)
    {
        string edu = machine.HotAdd(new FunctionOptions(static context => new EduFunction(context.Id, context.CreateDmaTarget())), "port1");
        await _console.WaitAsync("EDU-DONE");

        BalloonDevice balloon = null!;
        using var told = new SemaphoreSlim(0);
        FunctionOptions options = new(context =>
        {
            balloon = new BalloonDevice(new BalloonOptions { Id = context.Id }, context.Memory);
            balloon.StatisticsReceived += () => told.Release();
            return new VirtioPciFunction(balloon, context.CreateDmaTarget());
        });
        string id = machine.HotAdd(options, "port2");
        ulong before = await TotalAsync(balloon, told);
        await ResizeAsync(balloon, InBalloon);
        balloon.RequestStatistics();
        ulong inflated = await TotalAsync(balloon, told);
        Say("BALLOON-TOTAL", before.ToString(CultureInfo.InvariantCulture));
        Say("BALLOON-TAKEN", (before - inflated).ToString(CultureInfo.InvariantCulture));
        Say("BALLOON-DISCARDED", (balloon.DiscardedPages * 4096).ToString(CultureInfo.InvariantCulture));
        await ResizeAsync(balloon, 0);
        balloon.RequestStatistics();
        Say("BALLOON-BACK", (await TotalAsync(balloon, told) - inflated).ToString(CultureInfo.InvariantCulture));
        await machine.HotRemoveAsync(id).WaitAsync(Patience);
        await machine.HotRemoveAsync(edu).WaitAsync(Patience);
        await _console.WaitAsync("SAMPLES-GONE");
    }

    /// <summary>The memory that the guest says it has, the next time that it tells.</summary>
    private static async Task<ulong> TotalAsync(BalloonDevice balloon, SemaphoreSlim told)
    {
        const int TotalMemory = 5;
        return await told.WaitAsync(Patience)
            ? balloon.GetStatistic(TotalMemory) ?? throw new InvalidOperationException("the guest tells statistics without its memory")
            : throw new TimeoutException("the guest tells no statistics");
    }

    private static async Task ResizeAsync(BalloonDevice balloon, long bytes)
    {
        balloon.SetTarget(bytes);
        DateTime end = DateTime.UtcNow + Patience;
        while (balloon.Actual != bytes)
        {
            if (DateTime.UtcNow > end)
            {
                throw new TimeoutException($"the guest's balloon has {balloon.Actual} bytes, and was to have {bytes}");
            }

            await Task.Delay(20);
        }
    }

    private static string AddDisk(VirtualMachine machine, int port, int round)
    {
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        File.WriteAllBytes(DiskOf(port, round), content);
        machine.HotAdd(new DiskOptions(DiskOf(port, round), ReadOnly: true) { Id = $"hot{port}" }, $"port{port}");
        return Convert.ToHexStringLower(SHA256.HashData(content));
    }

    private static string DiskOf(int port, int round) => Path.GetFullPath($"disk-{port}-{round}");

    /// <summary>A function of a class that no driver takes, with a BAR; its device id is the round.</summary>
    private static PciFunction MakePlain(string id, int round)
    {
        var function = new PciFunction(
            new PciIdentity { VendorId = 0x1b36, DeviceId = (ushort)round, ClassCode = 0xff0000 }, new PciFunctionOptions { Name = id });
        function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x1000, [new PciBarRegion("all", 0, 0x1000, new Zeroes())]));
        return function;
    }

    private static void Check(string what, string got, string wanted)
    {
        if (got != wanted)
        {
            throw new InvalidOperationException($"{what}: the guest saw '{got}', and it is '{wanted}'");
        }
    }

    private static int Number(string word) => int.Parse(word, CultureInfo.InvariantCulture);

    private static void Say(string key, string value) => Console.Out.WriteLine($"{key} {value}");

    private sealed class Zeroes : IRegionHandler
    {
        public ulong Read(ulong offset, int width) => 0;

        public void Write(ulong offset, int width, ulong value)
        {
        }
    }
}
