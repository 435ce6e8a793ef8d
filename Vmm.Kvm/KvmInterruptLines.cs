using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>The wires into the in-kernel PICs and I/O APIC (KVM_IRQ_LINE, and irqfds with resample).</summary>
/// <remarks>Thread-safe; no lock of its own.</remarks>
public sealed unsafe class KvmInterruptLines : IResampledLines
{
    private readonly IVmCalls _calls;
    private readonly ILogger _logger;
    private readonly Line[] _lines = new Line[KvmConstants.KVM_IOAPIC_NUM_PINS];
    private int _connections;

    internal KvmInterruptLines(IVmCalls calls, ILogger logger)
    {
        _calls = calls;
        _logger = logger;
        for (int gsi = 0; gsi < _lines.Length; gsi++)
        {
            _lines[gsi] = new Line(this, gsi);
        }
    }

    /// <summary>How many eventfds are connected to lines.</summary>
    public int ConnectionCount => Volatile.Read(ref _connections);

    /// <inheritdoc/>
    public IInterruptLine GetLine(int gsi)
    {
        CheckGsi(gsi);
        return _lines[gsi];
    }

    /// <inheritdoc/>
    public IDisposable Connect(int gsi, EventFd source, EventFd resample)
    {
        CheckGsi(gsi);
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(resample);
        var irqfd = new kvm_irqfd
        {
            fd = (uint)source.Descriptor,
            gsi = (uint)gsi,
            flags = KvmConstants.KVM_IRQFD_FLAG_RESAMPLE,
            resamplefd = (uint)resample.Descriptor,
        };
        int result = _calls.Call(KvmRequests.KVM_IRQFD, &irqfd);
        if (result < 0)
        {
            throw KvmCall.Failure("KVM_IRQFD", -result, $"connecting an eventfd to line {gsi}");
        }

        Interlocked.Increment(ref _connections);
        return new Connection(this, gsi, source);
    }

    private static void CheckGsi(int gsi)
    {
        if ((uint)gsi >= KvmConstants.KVM_IOAPIC_NUM_PINS)
        {
            throw new ArgumentOutOfRangeException(nameof(gsi), gsi, "0 to 23");
        }
    }

    private void Set(int gsi, bool asserted)
    {
        var level = new kvm_irq_level { irq = (uint)gsi, level = asserted ? 1u : 0u };
        int result = _calls.Call(KvmRequests.KVM_IRQ_LINE, &level);
        if (result < 0 && !_calls.IsClosed)
        {
            _logger.LineRefused(gsi, -result);
        }
    }

    private void Disconnect(Connection connection)
    {
        Interlocked.Decrement(ref _connections);
        if (_calls.IsClosed)
        {
            return;
        }

        int result;
        try
        {
            var irqfd = new kvm_irqfd
            {
                fd = (uint)connection.Source.Descriptor,
                gsi = (uint)connection.Gsi,
                flags = KvmConstants.KVM_IRQFD_FLAG_DEASSIGN,
            };
            result = _calls.Call(KvmRequests.KVM_IRQFD, &irqfd);
        }
        catch (ObjectDisposedException)
        {
            // The caller closed the eventfd first; the kernel drops the irqfd with its eventfd.
            result = 0;
        }

        if (result < 0 && !_calls.IsClosed)
        {
            _logger.RemovalRefused("irqfd", $"line {connection.Gsi}", -result);
        }
    }

    private sealed class Line(KvmInterruptLines owner, int gsi) : IInterruptLine
    {
        public void SetLevel(bool asserted) => owner.Set(gsi, asserted);
    }

    private sealed class Connection(KvmInterruptLines owner, int gsi, EventFd source) : IDisposable
    {
        private int _disposed;

        public int Gsi => gsi;

        public EventFd Source => source;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0)
            {
                owner.Disconnect(this);
            }
        }
    }
}
