using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Vmm.Tests.Nested.HotPlugHost;

/// <summary>Follows the file of a guest's serial port.</summary>
internal sealed class GuestConsole
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly string _path;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, List<string>> _facts = [];
    private readonly StringBuilder _line = new();
    private long _read;

    public GuestConsole(string path) => _path = path;

    /// <summary>Waits until the guest has said "KEY value" a number of times.</summary>
    /// <returns>The value of that time.</returns>
    public async Task<string> WaitAsync(string key, int times = 1)
    {
        DateTime end = DateTime.UtcNow + Patience;
        while (true)
        {
            lock (_lock)
            {
                Follow();
                if (_facts.TryGetValue(key, out List<string>? values) && values.Count >= times)
                {
                    return values[times - 1];
                }
            }

            if (DateTime.UtcNow > end)
            {
                throw new TimeoutException($"the guest did not say {key} for the {times}. time");
            }

            await Task.Delay(20);
        }
    }

    private void Follow()
    {
        using var file = new FileStream(_path, FileMode.OpenOrCreate, FileAccess.Read, FileShare.ReadWrite);
        file.Position = _read;
        int next;
        while ((next = file.ReadByte()) >= 0)
        {
            _read++;
            if (next != '\n')
            {
                _line.Append((char)next);
                continue;
            }

            string[] words = _line.ToString().Trim().Split(' ', 2);
            _line.Clear();
            if (!_facts.TryGetValue(words[0], out List<string>? values))
            {
                _facts.Add(words[0], values = []);
            }

            values.Add(words.Length > 1 ? words[1] : "");
        }
    }
}
