namespace Vmm.DeviceModel.Epochs;

/// <summary>A part of an access in which the thread may wait, outside the epoch: no change of a space waits for it.</summary>
internal ref struct BlockingScope
{
    private readonly BlockingCalls _calls;
    private readonly AccessSlot? _slot;

    /// <param name="calls">Where it counts.</param>
    /// <param name="slot">The calling thread's, which has left; null for a thread that stays as it is.</param>
    public BlockingScope(BlockingCalls calls, AccessSlot? slot)
    {
        _calls = calls;
        _slot = slot;
    }

    /// <summary>Comes back into the epoch, to go on with the access. No view that was read before is used after.</summary>
    public readonly void Dispose()
    {
        _slot?.ReturnFromBlocking();
        _calls.End();
    }
}
