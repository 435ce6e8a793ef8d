using System;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO;
using System.Threading;
using Vmm.Pci.Access;

namespace Vmm.Tests.Nested.VfioProbe;

/// <summary>QEMU's educational device: a factorial, a DMA engine with 4 KiB of memory, an interrupt (docs/specs/edu of QEMU).</summary>
internal sealed class EduDevice(IPciDeviceBackend device)
{
    /// <summary>Where the engine finds the device's memory.</summary>
    public const ulong Memory = 0x40000;

    /// <summary>Half of it: QEMU 7.2 ends itself when a copy reaches the last byte.</summary>
    public const int MemoryLength = 0x800;

    public const uint FactorialDone = 0x1;
    public const uint DmaDone = 0x100;

    private const ulong Identification = 0x00;
    private const ulong Liveness = 0x04;
    private const ulong FactorialNumber = 0x08;
    private const ulong Status = 0x20;
    private const ulong InterruptStatus = 0x24;
    private const ulong InterruptRaise = 0x60;
    private const ulong InterruptAcknowledge = 0x64;
    private const ulong DmaSource = 0x80;
    private const ulong DmaDestination = 0x88;
    private const ulong DmaCount = 0x90;
    private const ulong DmaCommand = 0x98;

    public uint Identify() => Read(Identification);

    public bool IsAlive()
    {
        Write(Liveness, 0x1234_5678);
        return Read(Liveness) == ~0x1234_5678u;
    }

    /// <summary>Computes; with an interrupt, returns at once.</summary>
    public void StartFactorial(uint number, bool interrupt)
    {
        Write(Status, interrupt ? 0x80u : 0);
        Write(FactorialNumber, number);
    }

    public uint FinishFactorial()
    {
        Await(() => (Read(Status) & 1) == 0, "the factorial");
        return Read(FactorialNumber);
    }

    public void Copy(ulong source, ulong destination, int length, bool toHost, bool interrupt)
    {
        Write(DmaSource, (uint)source);
        Write(DmaDestination, (uint)destination);
        Write(DmaCount, (uint)length);
        Write(DmaCommand, 1u | (toHost ? 2u : 0) | (interrupt ? 4u : 0));
        Await(() => (Read(DmaCommand) & 1) == 0, "the copy");
    }

    public void Raise(uint bits) => Write(InterruptRaise, bits);

    public uint Pending() => Read(InterruptStatus);

    public void Acknowledge(uint bits) => Write(InterruptAcknowledge, bits);

    private static void Await(Func<bool> done, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!done())
        {
            if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(60))
            {
                throw new IOException($"{what} does not end");
            }

            Thread.Sleep(1);
        }
    }

    private uint Read(ulong offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        return device.TryRead(PciRegionIndex.Bar0, offset, bytes)
            ? BinaryPrimitives.ReadUInt32LittleEndian(bytes)
            : throw new IOException($"no answer at 0x{offset:x}");
    }

    private void Write(ulong offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        if (!device.TryWrite(PciRegionIndex.Bar0, offset, bytes))
        {
            throw new IOException($"not taken at 0x{offset:x}");
        }
    }
}
