namespace Vmm.Machine;

/// <summary>What a serial port or a console is connected to.</summary>
public enum CharacterKind
{
    /// <summary>The device is absent.</summary>
    Off,

    /// <summary>The device is there; its output vanishes.</summary>
    Null,

    /// <summary>Standard input and output of the process.</summary>
    Terminal,

    /// <summary>Output goes to a file.</summary>
    File,
}
