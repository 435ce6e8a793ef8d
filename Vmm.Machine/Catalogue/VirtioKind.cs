using Vmm.Pci;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Machine.Catalogue;

/// <summary>A kind of virtio device: what is left to the kind is the device itself.</summary>
/// <typeparam name="TOptions">A sealed record.</typeparam>
public abstract class VirtioKind<TOptions> : DeviceKind<TOptions>
    where TOptions : VirtioOptions
{
    /// <summary>The category that virtio devices log under.</summary>
    protected const string LogCategory = "Vmm.Virtio";

    /// <summary>Makes the device with its back-end.</summary>
    /// <param name="options">The device; its id is in the context.</param>
    /// <param name="context">Its place in its machine.</param>
    /// <returns>The device. If it throws, nothing is left open.</returns>
    protected abstract VirtioDevice CreateDevice(TOptions options, DeviceContext context);

    /// <inheritdoc/>
    protected sealed override PciFunction Create(TOptions options, DeviceContext context)
    {
        VirtioDevice device = CreateDevice(options, context);
        try
        {
            VirtioPciOptions transport = options.Transport with { Name = context.Id, LoggerFactory = context.LoggerFactory };
            return new VirtioPciFunction(device, context.CreateDmaTarget(), transport);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }
}
