namespace Vmm.Virtio.Driver;

/// <summary>What a request asks of a block device (virtio 1.2, 5.2.6).</summary>
public enum BlockRequestType : uint
{
    /// <summary>VIRTIO_BLK_T_IN: read sectors.</summary>
    Read = 0,

    /// <summary>VIRTIO_BLK_T_OUT: write sectors.</summary>
    Write = 1,

    /// <summary>VIRTIO_BLK_T_FLUSH: make what was written durable.</summary>
    Flush = 4,

    /// <summary>VIRTIO_BLK_T_GET_ID: 20 bytes that name the device.</summary>
    GetId = 8,

    /// <summary>VIRTIO_BLK_T_DISCARD: ranges that are not needed any more.</summary>
    Discard = 11,

    /// <summary>VIRTIO_BLK_T_WRITE_ZEROES: ranges that are to read as zeroes.</summary>
    WriteZeroes = 13,
}
