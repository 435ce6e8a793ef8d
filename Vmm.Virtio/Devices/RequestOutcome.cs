namespace Vmm.Virtio.Devices;

/// <summary>How far a <see cref="RequestHandler"/> has got with a request.</summary>
public enum RequestOutcome
{
    /// <summary>It is done and completes.</summary>
    Done,

    /// <summary>A part of it is done: it goes on at once, after a stop and guest memory that goes have had their turn.</summary>
    Continue,

    /// <summary>It cannot be done yet: it stays in the ring, to be looked at again after <see cref="QueueHandler.Wake"/>, a watch or a kick.</summary>
    Later,

    /// <summary>
    /// It takes its time: its chain is kept, <see cref="RequestHandler.Submit"/> begins it outside of guest memory, and
    /// <see cref="RequestHandler.Complete"/> ends it, in whatever order.
    /// </summary>
    Pending,
}
