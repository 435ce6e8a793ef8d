using System;
using Vmm.DeviceModel;
using Vmm.Machine.Host;
using Vmm.Pci;

namespace Vmm.Machine.Catalogue;

/// <summary>A kind of device with options of one type. Whoever adds a kind derives from this, and adds one instance to a catalogue.</summary>
/// <typeparam name="TOptions">A sealed record.</typeparam>
public abstract class DeviceKind<TOptions> : DeviceKind
    where TOptions : DeviceOptions
{
    /// <inheritdoc/>
    public sealed override Type OptionsType => typeof(TOptions);

    /// <inheritdoc/>
    public abstract override TOptions? Parse(string text);

    /// <inheritdoc/>
    public sealed override PciFunction Create(DeviceOptions options, DeviceContext context) => Make(options, context, Create);

    /// <inheritdoc/>
    public sealed override PciFunction CreateModel(DeviceOptions options, DeviceContext context) =>
        Model is null ? throw new InvalidOperationException($"there is no model of a {Name}") : Make(options, context, CreateModel);

    /// <inheritdoc/>
    public sealed override string? SubjectOf(DeviceOptions options) => SubjectOf(Mine(options));

    /// <inheritdoc/>
    public sealed override string? Describe(DeviceOptions options) => Describe(Mine(options));

    /// <inheritdoc/>
    public sealed override bool UsesTerminal(DeviceOptions options) => UsesTerminal(Mine(options));

    /// <inheritdoc/>
    public sealed override string DefaultId(DeviceOptions options, int index) => DefaultId(Mine(options), index);

    /// <summary>Makes a device with its back-end. A <see cref="HostException"/> becomes a <see cref="MachineException"/> that names the subject.</summary>
    /// <param name="options">The device; its id is in the context.</param>
    /// <param name="context">Its place in its machine.</param>
    /// <returns>A function of no bus. If it throws, nothing is left open.</returns>
    protected abstract PciFunction Create(TOptions options, DeviceContext context);

    /// <summary>Makes the device of a <see cref="DeviceKind.Model"/>: by default as any, for a kind with nothing of the host behind it.</summary>
    /// <param name="options">The device, on the words of the model.</param>
    /// <param name="context">A place in no machine.</param>
    /// <returns>A function of no bus. If it throws, nothing is left open.</returns>
    protected virtual PciFunction CreateModel(TOptions options, DeviceContext context) => Create(options, context);

    /// <summary>The file, interface or device of the host that a device stands on. Null for none.</summary>
    /// <param name="options">The device.</param>
    protected virtual string? SubjectOf(TOptions options) => null;

    /// <summary>The back-end in words; by default the subject.</summary>
    /// <param name="options">The device.</param>
    protected virtual string? Describe(TOptions options) => SubjectOf(options);

    /// <summary>True if a device reads what is typed on the process's terminal.</summary>
    /// <param name="options">The device.</param>
    protected virtual bool UsesTerminal(TOptions options) => false;

    /// <summary>The id of a device that was given none: by default the kind's name and a number.</summary>
    /// <param name="options">The device.</param>
    /// <param name="index">How many of the kind come before it.</param>
    protected virtual string DefaultId(TOptions options, int index) => IsRepeatable || index != 0 ? $"{Name}{index}" : Name;

    private PciFunction Make(DeviceOptions options, DeviceContext context, Func<TOptions, DeviceContext, PciFunction> create)
    {
        ArgumentNullException.ThrowIfNull(context);
        TOptions mine = Mine(options);
        try
        {
            return create(mine, context);
        }
        catch (HostException e)
        {
            // The host's failures mostly name the thing first; so do we.
            string? subject = SubjectOf(mine);
            string prefix = subject + ": ";
            string reason = e.Message.StartsWith(prefix, StringComparison.Ordinal) ? e.Message[prefix.Length..] : e.Message;
            throw new MachineException(Name, subject, reason, e);
        }
    }

    private TOptions Mine(DeviceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options as TOptions ?? throw new ArgumentException($"{options.GetType().Name} is not of the kind {Name}", nameof(options));
    }
}
