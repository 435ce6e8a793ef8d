using System;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Driver;

/// <summary>An entropy device as a driver uses it (virtio 1.2, 5.4).</summary>
/// <remarks>One thread at a time.</remarks>
public sealed class VirtioEntropyDriver : IDisposable
{
    private const int Portion = 4096;

    private readonly RequestSlots _requests;

    private VirtioEntropyDriver(VirtioPciDriver driver)
    {
        Driver = driver;
        _requests = new RequestSlots(driver, driver.Queues[0], 1, Portion);
    }

    /// <summary>The driver underneath.</summary>
    public VirtioPciDriver Driver { get; }

    /// <summary>Initialises and starts an entropy device.</summary>
    /// <param name="access">The function.</param>
    /// <param name="options">What to ask for.</param>
    /// <exception cref="DriverException">The device cannot be driven.</exception>
    public static VirtioEntropyDriver Open(IPciFunctionAccess access, VirtioDriverOptions? options = null)
    {
        var driver = VirtioPciDriver.Open(access, (options ?? new VirtioDriverOptions()) with { DeviceType = VirtioDeviceType.Entropy });
        try
        {
            driver.Start(1, 16);
            return new VirtioEntropyDriver(driver);
        }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    /// <summary>Fills a buffer with random bytes, by as many requests as the device needs.</summary>
    /// <param name="destination">The buffer.</param>
    /// <exception cref="DriverException">The device gives none.</exception>
    public void Read(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            if (!_requests.TryTake(out int slot))
            {
                throw new DriverException("entropy", "an earlier request is unanswered");
            }

            uint wanted = (uint)Math.Min(destination.Length, Portion);
            _ = _requests.TrySubmit(slot, [new DriverSegment(_requests.IovaOf(slot), wanted, true)]);
            _requests.Queue.Notify();
            _ = _requests.Wait(out uint length);
            if (length == 0)
            {
                throw new DriverException("entropy", "a request was answered without a byte");
            }

            _requests.MemoryOf(slot)[..(int)length].CopyTo(destination);
            _requests.Return(slot);
            destination = destination[(int)length..];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Driver.Dispose();
}
