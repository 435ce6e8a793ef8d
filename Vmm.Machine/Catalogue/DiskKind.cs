using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;

namespace Vmm.Machine.Catalogue;

/// <summary>Virtio block devices: <c>--disk</c>.</summary>
public sealed class DiskKind : VirtioKind<DiskOptions>
{
    private const int SerialLimit = 20;
    private const int QueueLimit = 64;
    private const int ScratchLength = 4 << 20;

    /// <inheritdoc/>
    public override string Name => "disk";

    /// <inheritdoc/>
    public override string Form => "path=FILE,...";

    /// <inheritdoc/>
    public override string Description =>
        "Virtio block device over a raw file; readonly=on, direct=on, serial=TEXT, num_queues=N, _disable_io_uring=on; "
        + RateLimiterWords.Help + "; may be repeated";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Examples =>
    [
        "path=disk.img",
        "path=data.img,readonly=on,direct=on,serial=S1,num_queues=4,queue_size=128,id=data",
        "path=slow.img,bw_size=10M,bw_refill_time=1000,ops_size=500,ops_one_time_burst=2000,ops_refill_time=1000",
    ];

    /// <inheritdoc/>
    public override KindModel? Model { get; } = new("blk", "path=scratch");

    /// <inheritdoc/>
    public override IJsonTypeInfoResolver Json => DiskJson.Default;

    /// <inheritdoc/>
    public override DiskOptions? Parse(string text)
    {
        string[] known = ["path", "readonly", "direct", "serial", "num_queues", "_disable_io_uring", .. RateLimiterWords.Known, .. VirtioWords.Known];
        var words = OptionValue.Parse(Option, text, known);
        string? serial = words.Get("serial");
        if (serial is not null && !Ascii.IsValid(serial))
        {
            throw words.Bad("serial", "not ASCII");
        }

        if (serial?.Length > SerialLimit)
        {
            throw words.Bad("serial", $"longer than {SerialLimit} bytes");
        }

        return new DiskOptions(
            words.Require("path"),
            words.GetSwitch("readonly"),
            serial,
            words.GetNumber("num_queues", 1, QueueLimit),
            words.GetSwitch("direct"),
            words.GetSwitch("_disable_io_uring"))
        {
            Id = words.Get("id"),
            RateLimiterConfig = RateLimiterWords.Read(words),
            QueueSize = VirtioWords.ReadQueueSize(words),
            Transport = VirtioWords.Read(words),
        };
    }

    /// <inheritdoc/>
    protected override string? SubjectOf(DiskOptions options) => options.Path;

    /// <inheritdoc/>
    protected override string? Describe(DiskOptions options) =>
        options.Path + (options.ReadOnly ? ", read-only" : "") + (options.Direct ? ", direct" : "");

    /// <inheritdoc/>
    protected override VirtioDevice CreateDevice(DiskOptions options, DeviceContext context) =>
        CreateDevice(Open(options.Path, options), options, context);

    /// <summary>On a file that has no name any more when it is in use.</summary>
    protected override VirtioDevice CreateModelDevice(DiskOptions options, DeviceContext context)
    {
        string path = CreateScratch();
        try
        {
            return CreateDevice(Open(path, options), options, context);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static RawFileBackend Open(string path, DiskOptions options) =>
        RawFileBackend.Open(path, options.ReadOnly, options.Direct, options.DisableIoUring);

    private static string CreateScratch()
    {
        string? path = null;
        try
        {
            path = Path.GetTempFileName();
            using FileStream file = File.OpenWrite(path);
            file.SetLength(ScratchLength);
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (path is not null)
            {
                File.Delete(path);
            }

            throw new BackendException("open", Path.GetTempPath(), 0, $"no scratch file can be made here: {e.Message}");
        }
    }

    private static BlockDevice CreateDevice(RawFileBackend backend, DiskOptions options, DeviceContext context)
    {
        try
        {
            var defaults = new BlockDeviceOptions();
            return new BlockDevice(backend, defaults with
            {
                Id = context.Id,
                Serial = options.Serial ?? (Ascii.IsValid(context.Id) ? context.Id : ""),
                QueueCount = options.QueueCount ?? defaults.QueueCount,
                QueueSize = options.QueueSize ?? defaults.QueueSize,
                RateLimiter = options.RateLimiterConfig,
                Time = context.Time,
                Logger = context.CreateLogger(LogCategory),
            });
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }
}

/// <summary>The members of a disk's options.</summary>
[JsonSerializable(typeof(DiskOptions))]
internal sealed partial class DiskJson : JsonSerializerContext;
