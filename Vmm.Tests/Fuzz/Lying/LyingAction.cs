namespace Vmm.Tests.Fuzz.Lying;

/// <summary>What is done with the driver of a lying device.</summary>
internal enum LyingAction
{
    Open,
    Start,
    Submit,
    Notify,
    Complete,
    Wait,
    Arm,
    Configuration,
    ResetQueue,
    EnableQueue,
    Request,
    Interrupt,
    Close,
}
