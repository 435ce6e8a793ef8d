namespace Vmm.Virtio.Devices;

/// <summary>How far a <see cref="RequestServer"/> has got with a request.</summary>
internal enum RequestOutcome
{
    /// <summary>It is done and completes.</summary>
    Done,

    /// <summary>A part of it is done: it goes on at once, after a stop and guest memory that goes have had their turn.</summary>
    Continue,

    /// <summary>It cannot be done yet: it stays in the ring, and the device calls <see cref="QueueServer.Run"/> later.</summary>
    Later,
}
