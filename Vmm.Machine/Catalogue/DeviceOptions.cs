namespace Vmm.Machine.Catalogue;

/// <summary>The options of one device of a machine: data alone, nothing is open.</summary>
/// <remarks>
/// As JSON it has a member <c>kind</c> with the name of its <see cref="DeviceKind"/>: see <see cref="DeviceCatalogue.WriteJson"/>. Source-generated
/// JSON sets an absent <c>init</c> property to zero or null: one with another default has to be a parameter of the constructor.
/// </remarks>
public abstract record DeviceOptions
{
    /// <summary>
    /// The device's name in the machine, in logs and to whoever removes it: unique among devices and root ports. By default the kind gives one.
    /// </summary>
    public string? Id { get; init; }
}
