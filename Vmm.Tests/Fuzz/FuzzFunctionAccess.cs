using System;
using System.Linq;
using Vmm.DeviceModel.Epochs;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Fuzz;

/// <summary>Lets the user-space driver drive a function of the fuzzed machine by its bus, with buffers in the guest's RAM.</summary>
internal sealed unsafe class FuzzFunctionAccess : IPciFunctionAccess
{
    private readonly FuzzMachine _machine;
    private readonly PciFunction _function;
    private readonly int _number;
    private ulong _next;

    /// <param name="machine">Whose RAM is all there.</param>
    /// <param name="number">Number of the function.</param>
    public FuzzFunctionAccess(FuzzMachine machine, int number)
    {
        _machine = machine;
        _number = number;
        _function = machine.Functions[number];
        _next = FuzzRam.Layout[0].Address;
    }

    public int MessageVectors => _function.Msix?.VectorCount ?? 0;

    public bool HasPin => true;

    public uint ReadConfiguration(int offset, int width) => (uint)_machine.Memory.Read(_machine.ConfigurationOf(_number) + (uint)offset, width);

    public void WriteConfiguration(int offset, int width, uint value) =>
        _machine.Memory.Write(_machine.ConfigurationOf(_number) + (uint)offset, width, value);

    public ulong GetBarLength(int bar) => _function.Bars.FirstOrDefault(b => b.Index == bar)?.Size ?? 0;

    public ulong ReadBar(int bar, ulong offset, int width) => _machine.Memory.Read(_function.GetBarAddress(bar) + offset, width);

    public void WriteBar(int bar, ulong offset, int width, ulong value) => _machine.Memory.Write(_function.GetBarAddress(bar) + offset, width, value);

    public void EnableMessages(int count, Action<int> signalled)
    {
        _machine.Platform.Seams.Message = data => signalled((int)data);
        MsixCapability msix = _function.Msix!;
        uint table = ReadConfiguration(msix.Offset + 4, 4);
        for (uint i = 0; i < count; i++)
        {
            ulong entry = (table & ~7u) + (i * MsixCapability.EntryLength);
            WriteBar((int)(table & 7), entry, 4, 0xfee0_0000);
            WriteBar((int)(table & 7), entry + 4, 4, 0);
            WriteBar((int)(table & 7), entry + 8, 4, i);
            WriteBar((int)(table & 7), entry + 12, 4, 0);
        }

        WriteConfiguration(msix.Offset + 2, 2, 0x8000);
    }

    public void EnablePin(Action asserted)
    {
        _machine.Platform.Seams.Asserted = asserted;
        if (_function.Msix is { } msix)
        {
            // Whoever drove the function before may have left it on, and then the pin is silent.
            WriteConfiguration(msix.Offset + 2, 2, 0);
        }

        WriteConfiguration(4, 2, ReadConfiguration(4, 2) & ~0x400u);
    }

    public void DisableInterrupts()
    {
        if (_function.Msix is { } msix)
        {
            WriteConfiguration(msix.Offset + 2, 2, 0);
        }

        (_machine.Platform.Seams.Message, _machine.Platform.Seams.Asserted) = (null, null);
    }

    public IDmaBuffer MapBuffer(int length)
    {
        ulong at = (_next + 0xfff) & ~0xfffUL;
        _next = at + (ulong)length;
        using AccessDomain.ReadScope scope = _machine.Ram.Guest.Domain.Enter();
        ((ulong)length).Should().Be(_machine.Ram.Guest.Current.GetContiguous(at, (ulong)length, out byte* host), "the fuzzer's RAM has room");
        new Span<byte>(host, length).Clear();
        return new Buffer(at, host, length);
    }

    private sealed class Buffer(ulong iova, byte* host, int length) : IDmaBuffer
    {
        public ulong Iova => iova;

        // No region is removed while a driver of the fuzzer's own runs.
        public Span<byte> Span => new(host, length);

        public void Dispose()
        {
        }
    }
}
