#pragma warning disable CA1822, IDE0060
namespace Vmm.Machine;

/// <content>TEMP.</content>
public sealed partial class VirtualMachine
{
    /// <summary>TEMP.</summary>
    public string? SerialPath => null;

    /// <summary>TEMP.</summary>
    public string? ConsolePath(string id) => null;

    /// <summary>TEMP.</summary>
    public void PressPowerButton()
    {
    }

    /// <summary>TEMP.</summary>
    public void InjectNmi()
    {
    }
}
