namespace Vmm.Virtio.Devices;

/// <summary>The operation that a <see cref="BlockRequest"/> asks its back-end for.</summary>
public enum BlockOperation
{
    /// <summary>Fill the request's buffers.</summary>
    Read,

    /// <summary>Store the request's buffers; durable after the next flush.</summary>
    Write,

    /// <summary>Make durable every write that was completed before this was submitted.</summary>
    Flush,

    /// <summary>The range is not needed any more: a hint; what it reads afterwards is not defined.</summary>
    Discard,

    /// <summary>Make the range read as zeroes; durable after the next flush.</summary>
    WriteZeroes,
}
