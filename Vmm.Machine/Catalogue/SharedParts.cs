using System;
using System.Collections.Generic;
using System.Threading;

namespace Vmm.Machine.Catalogue;

/// <summary>Parts that the devices of one machine share, one of each type. The lock is held while a part is made.</summary>
internal sealed class SharedParts : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<Type, object> _parts = [];

    /// <summary>The part of a type, made if it is the first time.</summary>
    public T Get<T>(Func<T> create)
        where T : class
    {
        lock (_lock)
        {
            if (!_parts.TryGetValue(typeof(T), out object? part))
            {
                _parts.Add(typeof(T), part = create());
            }

            return (T)part;
        }
    }

    /// <summary>Disposes the parts that can be. The devices are gone.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (object part in _parts.Values)
            {
                (part as IDisposable)?.Dispose();
            }

            _parts.Clear();
        }
    }
}
