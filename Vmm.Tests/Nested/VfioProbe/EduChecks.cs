using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Nested.VfioProbe;

/// <summary>Uses the educational device as a passed-through function would: registers, memory both ways, the pin, messages.</summary>
internal static unsafe class EduChecks
{
    private const ulong Ram = 0x10_0000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public static void Run(string path)
    {
        using var ram = HostMemory.AllocateAnonymous(8 << 20);
        var memory = new GuestMemory();
        memory.Add(Ram, ram, 0, 1 << 20);
        var host = new VfioHost(memory);
        using VfioPciDevice device = host.Attach(path);
        SetCommand(device, 0x6);
        var edu = new EduDevice(device);
        Fact("IDENTIFICATION", $"{edu.Identify():x8}");
        Fact("ALIVE", edu.IsAlive());
        edu.StartFactorial(10, interrupt: false);
        Fact("FACTORIAL", edu.FinishFactorial());
        CheckMemory(edu, new Span<byte>(ram.Pointer, 1 << 20));
        CheckHotPlug(edu, memory, ram);
        foreach (PciInterruptIndex index in new[] { PciInterruptIndex.Pin, PciInterruptIndex.Msi })
        {
            if (device.GetInterrupt(index).Count > 0)
            {
                CheckInterrupts(device, edu, index);
            }
            else
            {
                Fact($"INTERRUPTS-{index}", "none");
            }
        }
    }

    private static void CheckMemory(EduDevice edu, Span<byte> ram)
    {
        byte[] pattern = [.. Enumerable.Range(0, EduDevice.MemoryLength).Select(i => (byte)((i * 7) + 3))];
        pattern.CopyTo(ram);
        edu.Copy(Ram, EduDevice.Memory, EduDevice.MemoryLength, toHost: false, interrupt: false);
        edu.Copy(EduDevice.Memory, Ram + 0x8000, EduDevice.MemoryLength, toHost: true, interrupt: false);
        Fact("DMA", ram.Slice(0x8000, EduDevice.MemoryLength).SequenceEqual(pattern) ? "both ways" : "wrong");
    }

    /// <summary>Regions come and go while the device copies; what it copies is right, and after a removal it reaches nothing there.</summary>
    private static void CheckHotPlug(EduDevice edu, GuestMemory memory, HostMemory ram)
    {
        const ulong Second = 0x400_0000;
        using var stop = new CancellationTokenSource();
        int changes = 0;
        var changer = new Thread(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                memory.Remove(memory.Add(Second, ram, 2 << 20, 1 << 20));
                changes++;
            }
        });
        changer.Start();
        bool right = true;
        for (byte i = 0; i < 10; i++)
        {
            new Span<byte>(ram.Pointer, EduDevice.MemoryLength).Fill(i);
            edu.Copy(Ram, EduDevice.Memory, EduDevice.MemoryLength, toHost: false, interrupt: false);
            edu.Copy(EduDevice.Memory, Ram + 0x8000, EduDevice.MemoryLength, toHost: true, interrupt: false);
            right &= new Span<byte>(ram.Pointer + 0x8000, EduDevice.MemoryLength).IndexOfAnyExcept(i) < 0;
        }

        stop.Cancel();
        changer.Join();
        Fact("HOTPLUG", $"{(right ? "right" : "wrong")}, {(changes > 10 ? "many" : "few")} changes");

        GuestMemoryRegion region = memory.Add(Second, ram, 2 << 20, 1 << 20);
        edu.Copy(EduDevice.Memory, Second, EduDevice.MemoryLength, toHost: true, interrupt: false);
        byte added = ram.Pointer[2 << 20];
        memory.Remove(region);
        new Span<byte>(ram.Pointer, EduDevice.MemoryLength).Fill(0x77);
        edu.Copy(Ram, EduDevice.Memory, EduDevice.MemoryLength, toHost: false, interrupt: false);
        edu.Copy(EduDevice.Memory, Second, EduDevice.MemoryLength, toHost: true, interrupt: false);
        Fact("REMOVED", added == 9 && ram.Pointer[2 << 20] == 9 ? "reached while there, not after" : $"{added} then {ram.Pointer[2 << 20]}");
    }

    private static void CheckInterrupts(VfioPciDevice device, EduDevice edu, PciInterruptIndex index)
    {
        using var worker = new Worker("edu");
        using var source = new EventFd();
        using var resample = new EventFd();
        using var arrived = new SemaphoreSlim(0);
        using IDisposable watch = worker.Watch(source, () => arrived.Release());
        worker.Start();
        device.SetTriggers(index, 0, [source]);
        if (index == PciInterruptIndex.Pin)
        {
            device.SetPinUnmask(resample);
        }

        var results = new List<string>();
        for (int round = 0; round < 20; round++)
        {
            edu.Raise(0x40);
            Await(arrived, $"raised interrupt {round}");
            edu.Acknowledge(edu.Pending());
            resample.Signal();
        }

        results.Add("20 raised");
        edu.StartFactorial(5, interrupt: true);
        Await(arrived, "the factorial's interrupt");
        results.Add(edu.Pending() == EduDevice.FactorialDone && edu.FinishFactorial() == 120 ? "factorial" : "wrong factorial");
        edu.Acknowledge(EduDevice.FactorialDone);
        resample.Signal();
        edu.Copy(Ram, EduDevice.Memory, 256, toHost: false, interrupt: true);
        Await(arrived, "the copy's interrupt");
        results.Add(edu.Pending() == EduDevice.DmaDone ? "copy" : "wrong copy");
        edu.Acknowledge(EduDevice.DmaDone);
        resample.Signal();
        device.DisableInterrupts(index);
        edu.StartFactorial(3, interrupt: false);
        _ = edu.FinishFactorial();
        edu.Raise(0x40);
        results.Add(arrived.Wait(TimeSpan.FromMilliseconds(300)) ? "not disabled" : "disabled");
        edu.Acknowledge(0x40);
        Fact($"INTERRUPTS-{index}", string.Join(", ", results));
    }

    private static void Await(SemaphoreSlim arrived, string what)
    {
        if (!arrived.Wait(Limit))
        {
            throw new IOException($"{what} does not arrive");
        }
    }

    private static void SetCommand(VfioPciDevice device, ushort bits)
    {
        Span<byte> command = stackalloc byte[2];
        _ = device.TryRead(PciRegionIndex.Configuration, 4, command);
        MemoryMarshal.Write(command, (ushort)(MemoryMarshal.Read<ushort>(command) | bits));
        _ = device.TryWrite(PciRegionIndex.Configuration, 4, command);
    }

    private static void Fact(string key, object value) => Console.WriteLine($"{key} {value}");
}
