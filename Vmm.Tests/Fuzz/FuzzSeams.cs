using System;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Tests.Fuzz;

/// <summary>A hypervisor that counts what is registered and, now and then, refuses: what is refused must be rolled back.</summary>
internal sealed class FuzzSeams(ulong seed, FuzzCounts counts) : IMemorySlots, IDoorbells, IMsiSink, IInterruptLines, IInterruptLine
{
    public const string Refusal = "refused by the fuzzer";

    private readonly Lock _lock = new();
    private readonly Random _random = new((int)seed);
    private int _slots;
    private int _doorbells;

    /// <summary>Of 256 registrations, how many are refused.</summary>
    public int RefusalRate { get; set; }

    /// <summary>Told the data of each message.</summary>
    public Action<uint>? Message { get; set; }

    /// <summary>Told when a line is asserted.</summary>
    public Action? Asserted { get; set; }

    public int Slots => Volatile.Read(ref _slots);

    public int Doorbells => Volatile.Read(ref _doorbells);

    public IDisposable Map(ulong guestAddress, ulong length, nint host, bool readOnly, bool isRam = false)
    {
        RefuseSometimes("KVM_SET_USER_MEMORY_REGION");
        Interlocked.Increment(ref _slots);
        return new Registration(() => Interlocked.Decrement(ref _slots));
    }

    public IDisposable Register(AddressSpaceKind kind, ulong address, int width, ulong? dataMatch, EventFd target)
    {
        RefuseSometimes("KVM_IOEVENTFD");
        Interlocked.Increment(ref _doorbells);
        return new Registration(() => Interlocked.Decrement(ref _doorbells));
    }

    public bool Send(in MsiMessage message, uint requesterId)
    {
        Interlocked.Increment(ref counts.Messages);
        Message?.Invoke(message.Data);
        return true;
    }

    public IInterruptLine GetLine(int gsi) => this;

    public void SetLevel(bool asserted)
    {
        if (asserted)
        {
            Asserted?.Invoke();
        }
    }

    private void RefuseSometimes(string step)
    {
        lock (_lock)
        {
            if (_random.Next(256) < RefusalRate)
            {
                throw new HostException(step, 28, Refusal);
            }
        }
    }

    private sealed class Registration(Action end) : IDisposable
    {
        private Action? _end = end;

        public void Dispose() => Interlocked.Exchange(ref _end, null)?.Invoke();
    }
}
