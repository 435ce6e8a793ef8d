namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>What is done with the driver of a lying device.</summary>
internal enum HostileAction
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
