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

    /// <summary>Makes the device of a <see cref="DeviceKind.Model"/>: by default as any, for a kind with nothing of the host behind it.</summary>
    /// <param name="options">The device, on the words of the model.</param>
    /// <param name="context">A place in no machine.</param>
    /// <returns>The device. If it throws, nothing is left open.</returns>
    protected virtual VirtioDevice CreateModelDevice(TOptions options, DeviceContext context) => CreateDevice(options, context);

    /// <inheritdoc/>
    protected sealed override PciFunction Create(TOptions options, DeviceContext context) =>
        CreateFunction(CreateDevice(options, context), options, context);

    /// <inheritdoc/>
    protected sealed override PciFunction CreateModel(TOptions options, DeviceContext context) =>
        CreateFunction(CreateModelDevice(options, context), options, context);

    private static VirtioPciFunction CreateFunction(VirtioDevice device, TOptions options, DeviceContext context)
    {
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
