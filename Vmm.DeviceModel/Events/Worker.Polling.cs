using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using Vmm.DeviceModel.Interop;

namespace Vmm.DeviceModel.Events;

/// <content>Looking for work for a while before sleeping.</content>
public sealed unsafe partial class Worker
{
    // Looks at what is polled between two at what is watched, which takes a system call.
    private const int PollsPerLook = 16;

    private List<IPolledWork> _polled = [];
    private List<IPolledWork> _ending = [];
    private PollWindow _window;
    private long _pollTicks;

    // When there was work the last time, if it was looked for since; 0 otherwise.
    private long _idleSince;

    /// <summary>
    /// How long the worker looks for work at most before it sleeps; it adapts between nothing and this (<see cref="PollWindow"/>). Zero, the default,
    /// for never. To be set before the start.
    /// </summary>
    internal TimeSpan PollLimit
    {
        init => _window = new PollWindow(value);
    }

    /// <summary>Time that was spent on looking for work that was not there, since the start; from any thread.</summary>
    public TimeSpan PollTime => TimeSpan.FromSeconds((double)Interlocked.Read(ref _pollTicks) / Stopwatch.Frequency);

    /// <summary>Has the worker look for work before it sleeps. On its thread.</summary>
    /// <param name="work">The work; its <see cref="IPolledWork.EndPoll"/> is called once before the worker sleeps.</param>
    /// <returns>False if it is not worth while now; then nothing is called.</returns>
    internal bool TryPoll(IPolledWork work)
    {
        Debug.Assert(IsCurrent, "what is polled belongs to the worker");
        if (_window.Length == 0 || _stopping)
        {
            return false;
        }

        if (!_polled.Contains(work))
        {
            _polled.Add(work);
        }

        return true;
    }

    /// <summary>Looks for work until none was there for a window's time; everything that was looked for has ended then.</summary>
    private void Poll(Libc.epoll_event* events)
    {
        long since = Stopwatch.GetTimestamp();
        int looks = 0;
        while (!_stopping)
        {
            bool found = false;
            for (int i = 0; i < _polled.Count; i++)
            {
                found |= _polled[i].Poll();
            }

            // What is watched has its turn as well, however much there is to do.
            if (found || ++looks % PollsPerLook == 0)
            {
                found |= Look(events, 0);
            }

            long now = Stopwatch.GetTimestamp();
            if (found)
            {
                since = now;
            }
            else if (now - since >= _window.Length)
            {
                Interlocked.Add(ref _pollTicks, now - since);
                _idleSince = since;
                break;
            }
            else
            {
                Thread.SpinWait(1);
            }
        }

        // Who finds something after all is polled again.
        (_polled, _ending) = (_ending, _polled);
        foreach (IPolledWork work in _ending)
        {
            work.EndPoll();
        }

        _ending.Clear();
    }
}
