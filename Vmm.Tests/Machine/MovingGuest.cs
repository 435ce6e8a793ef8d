using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Layout;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Machine;

/// <summary>
/// The guest of a machine that is restored elsewhere: its RAM and its drivers stay as they are while the machine around them is another one.
/// </summary>
internal sealed class MovingGuest : IDisposable
{
    private const ulong FirstBuffer = 16 << 20;

    private readonly List<Access> _functions = [];
    private readonly GuestMemory _view = new();
    private ulong _nextBuffer = FirstBuffer;

    public MovingGuest() => _view.Add(0, Ram, 0, Ram.Length);

    /// <summary>The RAM of whichever machine it is in.</summary>
    public HostMemory Ram { get; } = HostMemory.AllocateAnonymous(MachineRig.RamSize);

    /// <summary>The content of the RAM.</summary>
    public Span<byte> Content =>
        _view.Current.TryGetWindow(0, (int)Ram.Length, out GuestWindow all) ? all.Span : throw new InvalidOperationException("RAM is one piece");

    /// <summary>The machine around it.</summary>
    public MachineRig? Machine { get; private set; }

    /// <summary>The guest goes on in a machine, whose functions are where they were.</summary>
    public void MoveTo(MachineRig machine)
    {
        Machine = machine;
        _functions.ForEach(static access => access.Listen());
    }

    /// <summary>A driver's way to a function that firmware or the guest has given its addresses, which it decodes from now on.</summary>
    public IPciFunctionAccess Reach(PciAddress at)
    {
        var access = new Access(this, at);
        access.WriteConfiguration(4, 2, 2);
        _functions.Add(access);
        return access;
    }

    public void Dispose() => Ram.Dispose();

    private sealed class Access(MovingGuest guest, PciAddress at) : IPciFunctionAccess
    {
        private Action<int>? _signalled;
        private ulong _message;

        public int MessageVectors => Function.Msix?.VectorCount ?? 0;

        public bool HasPin => false;

        private MachineRig Machine => guest.Machine!;

        private PciFunction Function => Machine.Devices.HostBridge.Find(at)!;

        private ulong Configuration => MemoryLayout.EcamStart + ((ulong)at.RequesterId << 12);

        public uint ReadConfiguration(int offset, int width) => (uint)Machine.Memory.Read(Configuration + (uint)offset, width);

        public void WriteConfiguration(int offset, int width, uint value) => Machine.Memory.Write(Configuration + (uint)offset, width, value);

        public ulong GetBarLength(int bar) => bar == 0 ? Function.Bars[0].Size : 0;

        public ulong ReadBar(int bar, ulong offset, int width) => Machine.Memory.Read(Function.GetBarAddress(bar) + offset, width);

        public void WriteBar(int bar, ulong offset, int width, ulong value) =>
            Machine.Memory.Write(Function.GetBarAddress(bar) + offset, width, value);

        public void EnableMessages(int count, Action<int> signalled)
        {
            _signalled = signalled;
            _message = 0;
            Listen();
            MsixCapability msix = Function.Msix!;
            for (uint i = 0; i < count; i++)
            {
                ulong entry = msix.TableOffset + (i * MsixCapability.EntryLength);
                WriteBar(msix.TableBar, entry, 4, (uint)_message);
                WriteBar(msix.TableBar, entry + 4, 4, 0);
                WriteBar(msix.TableBar, entry + 8, 4, i);
                WriteBar(msix.TableBar, entry + 12, 4, 0);
            }

            WriteConfiguration(msix.Offset + 2, 2, 0x8000);
        }

        /// <summary>Hears the messages in the machine that the guest is in, at the address that it has programmed.</summary>
        public void Listen()
        {
            if (_signalled is { } signalled)
            {
                ulong address = Machine.Hypervisor.Msi.Listen(data => signalled((int)data)).Address;
                (_message is 0 || _message == address).Should().BeTrue("receivers are numbered in the order of the functions");
                _message = address;
            }
        }

        public void EnablePin(Action asserted) => throw new NotSupportedException();

        public void DisableInterrupts() => _signalled = null;

        public IDmaBuffer MapBuffer(int length)
        {
            ulong address = guest._nextBuffer;
            guest._nextBuffer += ((ulong)length + 0xfff) & ~0xffful;
            var buffer = new Buffer(guest._view, address, length);
            buffer.Span.Clear();
            return buffer;
        }
    }

    private sealed class Buffer(GuestMemory ram, ulong address, int length) : IDmaBuffer
    {
        public ulong Iova => address;

        public Span<byte> Span => ram.Current.TryGetWindow(address, length, out GuestWindow window)
            ? window.Span
            : throw new InvalidOperationException("the guest's RAM is too small for its drivers");

        public void Dispose()
        {
        }
    }
}
