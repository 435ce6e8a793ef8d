using System;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel.Interop;

namespace Vmm.DeviceModel.Events;

/// <content>The table of watches.</content>
public sealed unsafe partial class Worker
{
    private WatchEntry AddWatch(int descriptor, EventFd? source, Action callback)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_epoll.IsClosed, this);
            int index = Array.IndexOf(_watches, null);
            if (index < 0)
            {
                index = _watches.Length;
                var grown = new WatchEntry?[index * 2];
                _watches.CopyTo(grown, 0);
                Volatile.Write(ref _watches, grown);
            }

            // The generation tells an event of a former watch in the same place from one of this watch; it is never 0.
            _generation = _generation == uint.MaxValue ? 1 : _generation + 1;
            var entry = new WatchEntry(this, ((ulong)_generation << 32) | (uint)index, descriptor, source, callback);
            Volatile.Write(ref _watches[index], entry);
            try
            {
                Control(Libc.EPOLL_CTL_ADD, descriptor, entry.Id);
            }
            catch (HostException)
            {
                _watches[index] = null;
                throw;
            }

            return entry;
        }
    }

    private void Control(int operation, int descriptor, ulong id)
    {
        var request = new Libc.epoll_event { events = Libc.EPOLLIN, data = id };
        if (Libc.epoll_ctl(_epoll.Number, operation, descriptor, &request) != 0)
        {
            throw new HostException("epoll_ctl", Marshal.GetLastPInvokeError(), $"cannot watch descriptor {descriptor}");
        }
    }

    private void Forget(int descriptor)
    {
        // Fails harmlessly if the descriptor was closed before its watch was disposed.
        var unused = default(Libc.epoll_event);
        _ = Libc.epoll_ctl(_epoll.Number, Libc.EPOLL_CTL_DEL, descriptor, &unused);
    }

    private sealed class WatchEntry(Worker worker, ulong id, int descriptor, EventFd? source, Action callback) : IWatch
    {
        private volatile bool _disposed;
        private volatile bool _enabled = true;

        public ulong Id => id;

        public bool Enabled
        {
            get => _enabled;
            set
            {
                lock (worker._lock)
                {
                    if (_disposed || _enabled == value || worker._epoll.IsClosed)
                    {
                        return;
                    }

                    // Taken out, not set to wait for nothing: epoll always reports hang-ups, and would spin on one.
                    if (value)
                    {
                        worker.Control(Libc.EPOLL_CTL_ADD, descriptor, id);
                    }
                    else
                    {
                        worker.Forget(descriptor);
                    }

                    _enabled = value;
                }
            }
        }

        public void Run()
        {
            // It may be gone or switched off, or the eventfd consumed by another, since the kernel reported it.
            if (!_disposed && _enabled && (source is null || source.TryConsume(out _)))
            {
                callback();
            }
        }

        public void Dispose()
        {
            Cancel();
            if (!worker.IsCurrent)
            {
                worker.WaitWhileRunning(this);
            }
        }

        public void Cancel()
        {
            lock (worker._lock)
            {
                if (!_disposed)
                {
                    _disposed = true;
                    worker._watches[(uint)id] = null;
                    if (_enabled && !worker._epoll.IsClosed)
                    {
                        worker.Forget(descriptor);
                    }
                }
            }
        }
    }
}
