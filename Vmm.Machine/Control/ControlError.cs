namespace Vmm.Machine.Control;

/// <summary>Why a command was not carried out.</summary>
public enum ControlError
{
    /// <summary>There is no machine.</summary>
    NotCreated,

    /// <summary>The machine's state is not one in which this can be done.</summary>
    WrongState,

    /// <summary>Something is taken already: a machine is there, an id is another's, a slot is not free.</summary>
    Conflict,

    /// <summary>The request contradicts itself, or names something that is not there.</summary>
    BadRequest,

    /// <summary>The host could not give something.</summary>
    HostFailed,
}
