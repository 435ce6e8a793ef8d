using System;
using System.Collections.Generic;
using System.Text.Json.Serialization.Metadata;
using Vmm.Machine.Host;
using Vmm.Pci;

namespace Vmm.Machine.Catalogue;

/// <summary>A kind of device: one line of a <see cref="DeviceCatalogue"/>.</summary>
/// <remarks>Kinds derive from <see cref="DeviceKind{TOptions}"/>. They hold no state; their members are called from any thread.</remarks>
public abstract class DeviceKind
{
    private protected DeviceKind()
    {
    }

    /// <summary>Its word: the option <c>--disk</c> is that of <c>disk</c>, and so are the JSON's <c>kind</c> and the part that errors name.</summary>
    public abstract string Name { get; }

    /// <summary>The command line's option.</summary>
    public string Option => "--" + Name;

    /// <summary>How the option's value looks, for help texts: <c>path=FILE,...</c></summary>
    public abstract string Form { get; }

    /// <summary>One sentence of help about the device and its words.</summary>
    public abstract string Description { get; }

    /// <summary>Values that <see cref="Parse"/> takes.</summary>
    public abstract IReadOnlyList<string> Examples { get; }

    /// <summary>A command line may have several.</summary>
    public virtual bool IsRepeatable => true;

    /// <summary>The device that a command line without the option gives to its machine, or null for none.</summary>
    public virtual DeviceOptions? Default => null;

    /// <summary>How one is made to be checked by itself; null for a kind that needs what only a host or a machine has.</summary>
    public virtual KindModel? Model => null;

    /// <summary>The type of its options; no other kind of a catalogue has it.</summary>
    public abstract Type OptionsType { get; }

    /// <summary>Knows <see cref="OptionsType"/>, for example the <c>Default</c> of a source-generated context; null if the options have no JSON.</summary>
    public abstract IJsonTypeInfoResolver? Json { get; }

    /// <summary>Reads a value of the command line's option.</summary>
    /// <param name="text">The value.</param>
    /// <returns>The options, or null where the value says that there is no device.</returns>
    /// <exception cref="UsageException">The value is wrong.</exception>
    public abstract DeviceOptions? Parse(string text);

    /// <summary>Reads the words of a model, which come after those that it begins with.</summary>
    /// <param name="option">The option that they were given to, for messages.</param>
    /// <param name="words">The words, with commas between them; null for none.</param>
    /// <returns>The options for <see cref="CreateModel"/>.</returns>
    /// <exception cref="UsageException">A word is wrong.</exception>
    /// <exception cref="InvalidOperationException">The kind has no <see cref="Model"/>.</exception>
    public DeviceOptions ParseModel(string option, string? words = null)
    {
        string own = (Model ?? throw new InvalidOperationException($"there is no model of a {Name}")).Words;
        try
        {
            return Parse(words is null ? own : $"{own},{words}") ?? throw new UsageException(Option, words, "is no device");
        }
        catch (UsageException e)
        {
            throw new UsageException(option, e.Word, $"{e.Reason} (the words of this model begin with {own})");
        }
    }

    /// <summary>Makes a device with its back-end.</summary>
    /// <param name="options">Of type <see cref="OptionsType"/>.</param>
    /// <param name="context">The device's place in its machine.</param>
    /// <returns>A function of no bus, the caller's from now on.</returns>
    /// <exception cref="MachineException">The host cannot give something; nothing is left open.</exception>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public abstract PciFunction Create(DeviceOptions options, DeviceContext context);

    /// <summary>Makes a device on a back-end that goes with it, to be checked by itself.</summary>
    /// <param name="options">The options that <see cref="ParseModel"/> read.</param>
    /// <param name="context">A place in no machine.</param>
    /// <returns>A function of no bus, the caller's from now on.</returns>
    /// <exception cref="MachineException">The host cannot give something; nothing is left open.</exception>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The kind has no <see cref="Model"/>.</exception>
    public abstract PciFunction CreateModel(DeviceOptions options, DeviceContext context);

    /// <summary>The file, interface or device of the host that a device stands on, as it was given: errors name it. Null for none.</summary>
    /// <param name="options">Of type <see cref="OptionsType"/>.</param>
    public abstract string? SubjectOf(DeviceOptions options);

    /// <summary>The back-end in words, for who looks at the device: <c>disk.img, read-only</c>. Null for none.</summary>
    /// <param name="options">Of type <see cref="OptionsType"/>.</param>
    public abstract string? Describe(DeviceOptions options);

    /// <summary>True if a device reads what is typed on the process's terminal.</summary>
    /// <param name="options">Of type <see cref="OptionsType"/>.</param>
    public abstract bool UsesTerminal(DeviceOptions options);

    /// <summary>The id of a device that was given none.</summary>
    /// <param name="options">Of type <see cref="OptionsType"/>.</param>
    /// <param name="index">How many of the kind come before it.</param>
    public abstract string DefaultId(DeviceOptions options, int index);
}
