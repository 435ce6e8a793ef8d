using System.Threading;

namespace Vmm.DeviceModel.Epochs;

/// <summary>Waits for a handler that is on its way: spinning at first, then looking again every millisecond.</summary>
/// <remarks>Who is waited for does nothing for it: an access pays for no wake-up. For one thread.</remarks>
internal struct PollingWait
{
    private const int SpinsBeforePausing = 100;
    private static readonly ManualResetEventSlim Never = new(false);

    private SpinWait _spin;

    /// <summary>Waits a moment before the caller looks again.</summary>
    public void Once()
    {
        if (_spin.Count < SpinsBeforePausing)
        {
            _spin.SpinOnce(-1);
        }
        else
        {
            Never.Wait(1);
        }
    }
}
