namespace Vmm.Virtio.Driver;

/// <summary>How a driver learns of completions.</summary>
public enum CompletionMode
{
    /// <summary>By looking.</summary>
    Polling,

    /// <summary>By the INTx pin and the ISR.</summary>
    Pin,

    /// <summary>By message-signalled interrupts.</summary>
    Messages,
}
