using System;

namespace Vmm.Machine.Control;

/// <summary>A command was not carried out, and nothing has changed by it unless the message says so.</summary>
/// <param name="error">Of which sort.</param>
/// <param name="message">One sentence for whoever asked.</param>
/// <param name="inner">The cause, or null.</param>
public sealed class ControlException(ControlError error, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Of which sort.</summary>
    public ControlError Error => error;
}
