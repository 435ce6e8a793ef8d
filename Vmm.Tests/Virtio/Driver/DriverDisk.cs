using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>A disk of ours in process, behind an access that tests can have lie.</summary>
internal sealed class DriverDisk : HostileAccess
{
    private readonly RawFileBackend _backend;

    public DriverDisk(VirtioPciOptions? options = null, int queues = 1, ulong iovaLength = 1 << 30, BlockDeviceOptions? device = null)
        : this(new TemporaryFile([.. Enumerable.Range(0, 512 * 512).Select(i => (byte)(i * 7 / 3))]), options, queues, iovaLength, device)
    {
    }

    private DriverDisk(TemporaryFile file, VirtioPciOptions? options, int queues, ulong iovaLength, BlockDeviceOptions? device)
        : this(file, RawFileBackend.Open(file.Path, readOnly: false), options, queues, iovaLength, device)
    {
    }

    private DriverDisk(
        TemporaryFile file, RawFileBackend backend, VirtioPciOptions? options, int queues, ulong iovaLength, BlockDeviceOptions? device)
        : base(
            dma => new VirtioPciFunction(new BlockDevice(backend, (device ?? new BlockDeviceOptions()) with { QueueCount = queues }), dma, options),
            iovaLength)
    {
        (File, _backend) = (file, backend);
    }

    public TemporaryFile File { get; }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        _backend.Dispose();
        File.Dispose();
    }
}
