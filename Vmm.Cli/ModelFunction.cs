using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Testing.Rigs;
using Vmm.Virtio.Transport;

namespace Vmm.Cli;

/// <summary>A device of a kind of a catalogue, made in process to be checked: the value of <c>vmm conformance --model</c>.</summary>
public sealed class ModelFunction : IDisposable
{
    private const string All = "all";

    private readonly InProcessFunctionAccess _access;

    private ModelFunction(DeviceKind kind, DeviceOptions options, string name)
    {
        try
        {
            _access = new InProcessFunctionAccess(dma =>
                kind.CreateModel(options, new DeviceContext(options.Id ?? kind.Model!.Name, dma.Memory)));
        }
        catch (MachineException e)
        {
            throw new MachineException("model", name, e.Reason, e);
        }

        Target = new ConformanceTarget
        {
            Name = name,
            Access = _access,
            Reach = TargetReach.All,
            IsVirtio = _access.Function is VirtioPciFunction,
            Work = kind.Model!.Request is { } request
                ? new QueueWork { Queue = request.Queue, Request = request.Bytes, Reply = request.Reply ?? [] }
                : null,
            IsScratch = true,
        };
    }

    /// <summary>The target to hand to <see cref="ConformanceRun"/>.</summary>
    public ConformanceTarget Target { get; }

    /// <summary>How the value looks, for help texts.</summary>
    /// <param name="catalogue">The kinds.</param>
    public static string FormOf(DeviceCatalogue catalogue) => $"{NamesOf(KindsOf(catalogue), "|")}|{All},...";

    /// <summary>Reads one --model; nothing is made yet.</summary>
    /// <param name="option">The option's name.</param>
    /// <param name="text">Its value.</param>
    /// <param name="catalogue">The kinds.</param>
    /// <returns>Each makes one device; that throws a <see cref="MachineException"/>.</returns>
    /// <exception cref="UsageException">The value is wrong.</exception>
    public static IReadOnlyList<Func<ModelFunction>> Read(string option, string text, DeviceCatalogue catalogue)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split(',', 2);
        string? words = parts is [_, var rest] ? rest : null;
        DeviceKind[] known = KindsOf(catalogue);
        DeviceKind[] kinds = parts[0] == All ? known : [.. known.Where(kind => kind.Model!.Name == parts[0])];
        return kinds.Length == 0
            ? throw new UsageException(option, text, $"want {NamesOf(known, ", ")} or {All}, then words after a comma")
            : [.. kinds.Select(kind => Prepare(kind, kind.ParseModel(option, words), kind.Model!.Name + text[parts[0].Length..]))];
    }

    /// <inheritdoc/>
    public void Dispose() => _access.Dispose();

    private static Func<ModelFunction> Prepare(DeviceKind kind, DeviceOptions options, string name) =>
        () => new ModelFunction(kind, options, options.Id ?? name);

    private static string NamesOf(DeviceKind[] kinds, string between) => string.Join(between, kinds.Select(static kind => kind.Model!.Name));

    private static DeviceKind[] KindsOf(DeviceCatalogue catalogue)
    {
        ArgumentNullException.ThrowIfNull(catalogue);
        return [.. catalogue.Kinds.Where(static kind => kind.Model is not null)];
    }
}
