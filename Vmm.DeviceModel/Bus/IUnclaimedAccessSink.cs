namespace Vmm.DeviceModel.Bus;

/// <summary>Told of accesses that no claim answers, already rate-limited (BUS-2).</summary>
/// <remarks>Called on the accessing thread, inside the access: a vCPU's sink may add its RIP and the disassembled instruction.</remarks>
public interface IUnclaimedAccessSink
{
    /// <summary>One unclaimed access.</summary>
    /// <param name="access">What was tried.</param>
    void OnUnclaimed(in UnclaimedAccess access);
}
