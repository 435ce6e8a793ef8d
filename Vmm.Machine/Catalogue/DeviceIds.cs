using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.Machine.Host;

namespace Vmm.Machine.Catalogue;

/// <summary>The names that are taken in one machine, by devices and by root ports. Thread-safe; nothing is called under the lock.</summary>
internal sealed class DeviceIds
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, string> _owners = new(StringComparer.Ordinal);

    /// <summary>Takes the names of root ports and of the devices that a machine starts with.</summary>
    /// <param name="ports">Names of root ports.</param>
    /// <param name="catalogue">The kinds of the devices.</param>
    /// <param name="devices">The devices in slot order.</param>
    /// <returns>The devices with their ids.</returns>
    /// <exception cref="MachineException">Two have one id.</exception>
    /// <exception cref="ArgumentException">The catalogue has no such kind.</exception>
    public IReadOnlyList<DeviceOptions> TakeAll(IEnumerable<string> ports, DeviceCatalogue catalogue, IReadOnlyList<DeviceOptions> devices)
    {
        lock (_lock)
        {
            foreach (string port in ports)
            {
                _owners[port] = "root port";
            }
        }

        var counts = new Dictionary<DeviceKind, int>();
        var named = new List<DeviceOptions>();
        foreach (DeviceOptions device in devices)
        {
            DeviceKind kind = catalogue.KindOf(device);
            int index = counts.GetValueOrDefault(kind);
            counts[kind] = index + 1;
            string id = device.Id ?? kind.DefaultId(device, index);
            Take(kind, device, id);
            named.Add(device with { Id = id });
        }

        return named;
    }

    /// <summary>Takes a name for one device more: its own, or the kind's next that is free.</summary>
    /// <returns>The name.</returns>
    /// <exception cref="MachineException">Another has its id.</exception>
    public string Take(DeviceKind kind, DeviceOptions device)
    {
        lock (_lock)
        {
            string id = device.Id ?? kind.DefaultId(device, 0);
            for (int index = 1; device.Id is null && _owners.ContainsKey(id); index++)
            {
                string next = kind.DefaultId(device, index);
                if (next == id)
                {
                    break;                                      // the kind knows one name only
                }

                id = next;
            }

            Take(kind, device, id);
            return id;
        }
    }

    /// <summary>Gives a name back.</summary>
    public void Release(string id)
    {
        lock (_lock)
        {
            _owners.Remove(id);
        }
    }

    private void Take(DeviceKind kind, DeviceOptions device, string id)
    {
        string owner = kind.SubjectOf(device) is { } subject ? $"{kind.Name} {subject}" : kind.Name;
        lock (_lock)
        {
            if (string.IsNullOrWhiteSpace(id))
            {
                throw new MachineException(kind.Name, $"id={id}", $"an empty id, of {owner}");
            }

            if (!_owners.TryAdd(id, owner))
            {
                throw new MachineException(kind.Name, $"id={id}", $"another device has this id: {_owners[id]}; {owner} needs one of its own");
            }
        }
    }
}
