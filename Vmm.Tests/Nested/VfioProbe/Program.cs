using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Nested.VfioProbe;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

// Attaches real devices through VFIO and uses them; facts go to stdout as "KEY value", the exit status is 0 if all went well.
//   VfioProbe devices ADDRESS...    attaches all, describes them, gives them back; twice
//   VfioProbe edu ADDRESS           computes, moves memory both ways, interrupts, while guest memory comes and goes
//   VfioProbe disk ADDRESS SHA256   drives a virtio disk from user space by messages, by the pin and by polling, and compares its digest
//   VfioProbe refused PATH          prints what an attach is refused with
try
{
    switch (args)
    {
        case ["devices", .. var addresses]:
            for (int round = 0; round < 2; round++)
            {
                Describe(addresses);
            }

            break;
        case ["edu", var address]:
            EduChecks.Run(PathOf(address));
            break;
        case ["disk", var address, var digest]:
            DiskChecks.Run(PathOf(address), digest);
            break;
        case ["refused", var path]:
            Refuse(path);
            break;
        default:
            throw new ArgumentException($"what is '{string.Join(' ', args)}'?");
    }

    int left = Directory.GetFiles("/proc/self/fd").Select(static file => new FileInfo(file).LinkTarget ?? "").Count(
        static target => target.StartsWith("/dev/vfio/", StringComparison.Ordinal) || target.Contains("[vfio-device]", StringComparison.Ordinal));
    Console.WriteLine($"LEFT {left}");
    return left == 0 ? 0 : 1;
}
catch (Exception e)
{
    Console.Error.WriteLine(e);
    return 1;
}

static string PathOf(string address) => $"/sys/bus/pci/devices/{address}";

static void Describe(string[] addresses)
{
    var host = new VfioHost(new GuestMemory());
    var devices = new List<VfioPciDevice>();
    long start = Stopwatch.GetTimestamp();
    foreach (string address in addresses)
    {
        devices.Add(host.Attach(PathOf(address)));
    }

    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"ATTACHED {devices.Count} in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:f0} ms"));
    Console.WriteLine($"SPACES {host.AddressSpaces}");
    foreach (VfioPciDevice device in devices)
    {
        Description.Write(device);
    }

    devices.ForEach(device => device.Dispose());
}

static void Refuse(string path)
{
    try
    {
        new VfioHost().Attach(path).Dispose();
        Console.WriteLine("REFUSED not at all");
    }
    catch (VfioException e)
    {
        Console.WriteLine($"REFUSED {e.Message}");
    }
}
