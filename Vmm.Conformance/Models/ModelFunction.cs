using System;
using System.IO;
using Vmm.DeviceModel.Memory;
using Vmm.Testing.Rigs;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Conformance.Models;

/// <summary>A device of this library, made in process to be checked.</summary>
public sealed class ModelFunction : IDisposable
{
    private const int DiskLength = 4 << 20;

    private readonly InProcessFunctionAccess _access;
    private string? _file;

    /// <summary>Makes it.</summary>
    /// <param name="options">Which device, with which options.</param>
    /// <exception cref="BackendException">The host gives no file or no randomness.</exception>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public ModelFunction(ModelOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        try
        {
            _access = new InProcessFunctionAccess(dma => CreateFunction(options, dma));
        }
        catch
        {
            DeleteFile();
            throw;
        }

        Target = new ConformanceTarget
        {
            Name = options.Name ?? NameOf(options.Model),
            Access = _access,
            Reach = TargetReach.All,
            IsVirtio = true,
            IsScratch = true,
        };
    }

    /// <summary>What to hand to <see cref="ConformanceRun"/>.</summary>
    public ConformanceTarget Target { get; }

    /// <summary>The word for a model.</summary>
    /// <param name="model">The model.</param>
    public static string NameOf(ModelKind model) => model switch
    {
        ModelKind.Block => "blk",
        ModelKind.Net => "net",
        ModelKind.Entropy => "rng",
        _ => "console",
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        _access.Dispose();
        DeleteFile();
    }

    private VirtioPciFunction CreateFunction(ModelOptions options, DmaTarget dma)
    {
        VirtioDevice device = CreateDevice(options);
        try
        {
            return new VirtioPciFunction(device, dma, options.Function);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    private VirtioDevice CreateDevice(ModelOptions options) => options.Model switch
    {
        ModelKind.Block => new BlockDevice(
            RawFileBackend.Open(CreateFile(), readOnly: false),
            new BlockDeviceOptions { QueueCount = options.QueueCount, QueueSize = options.QueueSize }),
        ModelKind.Net => new NetDevice(new LoopbackNetBackend(), new NetDeviceOptions { QueueSize = options.QueueSize }),
        ModelKind.Entropy => new EntropyDevice(new EntropyDeviceOptions { QueueSize = options.QueueSize }),
        ModelKind.Console =>
            new ConsoleDevice(new MemoryConsoleBackend(), new ConsoleDeviceOptions { QueueSize = options.QueueSize, Columns = 80, Rows = 25 }),
        _ => throw new ArgumentOutOfRangeException(nameof(options), options.Model, "no such model"),
    };

    private string CreateFile()
    {
        _file = Path.GetTempFileName();
        using FileStream file = File.OpenWrite(_file);
        file.SetLength(DiskLength);
        return _file;
    }

    private void DeleteFile()
    {
        if (_file is { } path)
        {
            File.Delete(path);
        }
    }
}
