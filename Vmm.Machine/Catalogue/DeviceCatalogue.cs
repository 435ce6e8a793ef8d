using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Vmm.Machine.Catalogue;

/// <summary>The kinds of devices that machines are put together from. Command line, hot-plug, preview, conformance, JSON read it.</summary>
/// <remarks>Immutable. <see cref="FunctionOptions"/> belong to every catalogue without being listed.</remarks>
public sealed class DeviceCatalogue
{
    private readonly Dictionary<Type, DeviceKind> _byOptions;
    private readonly Lazy<JsonTypeInfo<DeviceOptions>> _json;

    /// <summary>Makes a catalogue.</summary>
    /// <param name="kinds">Its kinds, in the order in which a command line gives slots.</param>
    /// <exception cref="ArgumentException">Two kinds or their models have one name, or options of one type.</exception>
    public DeviceCatalogue(params IReadOnlyList<DeviceKind> kinds)
    {
        ArgumentNullException.ThrowIfNull(kinds);
        Kinds = [.. kinds];
        DeviceKind[] all = [.. Kinds, FunctionKind.Instance];
        if (all.GroupBy(static kind => kind.Name).FirstOrDefault(static group => group.Count() > 1) is { } names)
        {
            throw new ArgumentException($"two kinds have the name {names.Key}", nameof(kinds));
        }

        if (all.Where(static kind => kind.Model is not null).GroupBy(static kind => kind.Model!.Name)
            .FirstOrDefault(static group => group.Count() > 1) is { } models)
        {
            throw new ArgumentException($"two kinds have models with the name {models.Key}", nameof(kinds));
        }

        if (all.GroupBy(static kind => kind.OptionsType).FirstOrDefault(static group => group.Count() > 1) is { } types)
        {
            throw new ArgumentException(
                $"{string.Join(" and ", types.Select(static kind => kind.Name))} have the same options, {types.Key.Name}", nameof(kinds));
        }

        _byOptions = all.ToDictionary(static kind => kind.OptionsType);
        _json = new Lazy<JsonTypeInfo<DeviceOptions>>(CreateJson);
    }

    /// <summary>The kinds of this library.</summary>
    public static DeviceCatalogue Default { get; } = new(
        new DiskKind(),
        new NetKind(),
        new EntropyKind(),
        new ConsoleKind(),
        new BalloonKind(),
        new HostDeviceKind());

    /// <summary>The kinds.</summary>
    public IReadOnlyList<DeviceKind> Kinds { get; }

    /// <summary>The form of options in JSON, for who writes them inside a document of their own.</summary>
    public JsonTypeInfo<DeviceOptions> Json => _json.Value;

    /// <summary>A catalogue with one kind more.</summary>
    /// <param name="kind">The kind.</param>
    /// <exception cref="ArgumentException">There is a kind with its name, its options or the name of its model.</exception>
    public DeviceCatalogue With(DeviceKind kind) => new([.. Kinds, kind]);

    /// <summary>The kind of a name, or null.</summary>
    /// <param name="name">For example <c>disk</c>.</param>
    public DeviceKind? Find(string name) => Kinds.FirstOrDefault(kind => kind.Name == name);

    /// <summary>The kind that makes a device.</summary>
    /// <param name="options">The device.</param>
    /// <exception cref="ArgumentException">No kind of the catalogue has such options.</exception>
    public DeviceKind KindOf(DeviceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return _byOptions.TryGetValue(options.GetType(), out DeviceKind? kind)
            ? kind
            : throw new ArgumentException($"the machine's catalogue has no kind with {options.GetType().Name}", nameof(options));
    }

    /// <summary>Writes options as one JSON object: <c>{"kind":"disk","path":"disk.img"}</c>, members in snake_case, absent ones left out.</summary>
    /// <param name="options">The device.</param>
    /// <exception cref="NotSupportedException">They have no JSON form, as <see cref="FunctionOptions"/> have none.</exception>
    /// <exception cref="ArgumentException">No kind of the catalogue has such options.</exception>
    public string WriteJson(DeviceOptions options)
    {
        DeviceKind kind = KindOf(options);
        return kind.Json is null
            ? throw new NotSupportedException($"{options.Id ?? kind.Name}: {options.GetType().Name} hold code, which has no JSON form")
            : JsonSerializer.Serialize(options, Json);
    }

    /// <summary>Reads what <see cref="WriteJson"/> wrote, or what a person did.</summary>
    /// <param name="json">One object; <c>kind</c> may stand anywhere in it.</param>
    /// <exception cref="JsonException">It is not JSON, the kind or a member is unknown, one is missing or has a value that it cannot have.</exception>
    public DeviceOptions ReadJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            return JsonSerializer.Deserialize(json, Json) ?? throw new JsonException("a device is an object, not null");
        }
        catch (NotSupportedException e)
        {
            // An object without a kind.
            throw new JsonException($"a device needs its kind: one of {string.Join(", ", Kinds.Select(static kind => kind.Name))}", e);
        }
    }

    private JsonTypeInfo<DeviceOptions> CreateJson()
    {
        IEnumerable<IJsonTypeInfoResolver> resolvers = Kinds.Select(static kind => kind.Json).OfType<IJsonTypeInfoResolver>()
            .Prepend(DeviceOptionsJson.Default).Distinct();
        var options = new JsonSerializerOptions(DeviceOptionsJson.Default.Options)
        {
            TypeInfoResolver = JsonTypeInfoResolver.Combine([.. resolvers]).WithAddedModifier(AddKinds),
        };
        options.MakeReadOnly();
        return (JsonTypeInfo<DeviceOptions>)options.GetTypeInfo(typeof(DeviceOptions));
    }

    private void AddKinds(JsonTypeInfo type)
    {
        if (type.Type != typeof(DeviceOptions))
        {
            return;
        }

        type.PolymorphismOptions = new JsonPolymorphismOptions
        {
            TypeDiscriminatorPropertyName = "kind",
            UnknownDerivedTypeHandling = JsonUnknownDerivedTypeHandling.FailSerialization,
        };
        foreach (DeviceKind kind in Kinds.Where(static kind => kind.Json is not null))
        {
            type.PolymorphismOptions.DerivedTypes.Add(new JsonDerivedType(kind.OptionsType, kind.Name));
        }
    }
}
