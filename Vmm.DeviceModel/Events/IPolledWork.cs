namespace Vmm.DeviceModel.Events;

/// <summary>
/// Work that a worker looks for itself for a while, before it sleeps until it is told of some. On the worker's thread; must not wait.
/// </summary>
internal interface IPolledWork
{
    /// <summary>Looks for work, and does a portion of what is there. Cheap where there is none.</summary>
    /// <returns>True if there was some.</returns>
    bool Poll();

    /// <summary>Is not looked for any more: from now on it tells the worker, and makes sure that nothing came in between.</summary>
    void EndPoll();
}
