using System;
using Vmm.Conformance;
using Vmm.Machine.Catalogue;
using Vmm.Pci.Access;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Cli;

/// <summary>A device of the host, taken through VFIO to be checked: the value of <c>vmm conformance --device</c>.</summary>
internal sealed class HostFunction : IDisposable
{
    private readonly VfioPciDevice _device;
    private readonly DeviceFunctionAccess _access;

    private HostFunction(VfioPciDevice device, bool isScratch)
    {
        _device = device;
        _access = new DeviceFunctionAccess(device);

        // The kernel keeps the message table, and of decoding what keeps BARs where they are, to itself.
        Target = new ConformanceTarget { Name = device.Name, Access = _access, Reach = TargetReach.None, IsScratch = isScratch };
    }

    /// <summary>The target to hand to <see cref="ConformanceRun"/>.</summary>
    public ConformanceTarget Target { get; }

    /// <summary>Reads one --device; nothing is opened yet.</summary>
    /// <param name="option">The option's name.</param>
    /// <param name="text">Its value.</param>
    /// <returns>Takes the device; that throws a <see cref="VfioException"/>.</returns>
    /// <exception cref="UsageException">The value is wrong.</exception>
    public static Func<HostFunction> Read(string option, string text)
    {
        var words = OptionValue.Parse(option, text, "path", "scratch");
        string path = words.Require("path");
        bool isScratch = words.GetSwitch("scratch");
        return () => new HostFunction(new VfioHost().Attach(path), isScratch);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _access.Dispose();
        _device.Dispose();
    }
}
