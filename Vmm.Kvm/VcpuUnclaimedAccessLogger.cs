using System;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.Kvm;

/// <summary>
/// Logs accesses that nobody claims (a guest that probes for hardware makes some, hence no warning), with the guest's instruction if a vCPU is behind
/// them (BUS-2).
/// </summary>
/// <remarks>Thread-safe. The bus limits the rate.</remarks>
public sealed class VcpuUnclaimedAccessLogger : IUnclaimedAccessSink
{
    private readonly ILogger _logger;

    /// <summary>Logs to a factory's category <c>Vmm.Kvm</c>.</summary>
    /// <param name="loggerFactory">Where to log.</param>
    public VcpuUnclaimedAccessLogger(ILoggerFactory loggerFactory)
    {
        ArgumentNullException.ThrowIfNull(loggerFactory);
        _logger = GuardedLogger.Create(loggerFactory, "Vmm.Kvm");
    }

    /// <inheritdoc/>
    public void OnUnclaimed(in UnclaimedAccess access)
    {
        if (!_logger.IsEnabled(LogLevel.Information))
        {
            return;
        }

        string kind = access.IsWrite ? "write" : "read";
        if (VcpuRunLoop.CurrentVcpu is not KvmVcpu vcpu)
        {
            _logger.UnclaimedAccessOutsideVcpu(kind, access.Width, access.Space.Name, access.Address, access.Suppressed);
            return;
        }

        string detail = AccessingInstruction.Describe(vcpu) is string instruction ? $" by {instruction}" : string.Empty;
        _logger.UnclaimedAccess(vcpu.Id, kind, access.Width, access.Space.Name, access.Address, detail, access.Suppressed);
    }
}
