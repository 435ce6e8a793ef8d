namespace Vmm.DeviceModel.Interrupts;

/// <summary>A level-triggered wire.</summary>
public interface IInterruptLine
{
    /// <summary>Drives the wire. Idempotent; callable from any thread.</summary>
    /// <param name="asserted">True while the interrupt is wanted.</param>
    void SetLevel(bool asserted);
}
