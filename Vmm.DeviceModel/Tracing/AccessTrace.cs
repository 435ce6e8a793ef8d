using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using System.Threading;
using Vmm.DeviceModel.Bus;

namespace Vmm.DeviceModel.Tracing;

/// <summary>Writes the accesses to devices as text, a line each: when, which vCPU, which device, which register, and the value.</summary>
/// <remarks>
/// <para>A line is <c>0.003512 vcpu0 disk0 common_cfg.queue_enable[0] &lt;- 1</c> for a write and <c>-&gt;</c> for a read; the time is in seconds since the
/// trace was made. It is the observer of one or several address spaces (<see cref="AddressSpace.Observer"/>).</para>
/// <para>A vCPU never waits for the output: accesses go through a bounded ring to a thread of the trace that puts them into words. What finds the
/// ring full is lost, and a line says how many were (<c># 12 accesses are not shown</c>).</para>
/// <para>Thread-safe. Take it out of its spaces before it is disposed; what is seen later is dropped.</para>
/// </remarks>
public sealed class AccessTrace : IAccessObserver, IDisposable
{
    private const int PollMilliseconds = 5;
    private const int FlushMilliseconds = 5000;

    private readonly TextWriter _output;
    private readonly HashSet<string>? _devices;
    private readonly Func<int>? _vcpu;
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly TraceRing _ring;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _stop = new();
    private long _told;
    private Exception? _failure;

    /// <summary>Begins a trace.</summary>
    /// <param name="output">Takes the lines; the trace disposes it at its end.</param>
    /// <param name="options">Which devices are traced, and who says the vCPU.</param>
    public AccessTrace(TextWriter output, AccessTraceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(output);
        options ??= new AccessTraceOptions();
        _output = output;
        _devices = options.Devices is { } devices ? new HashSet<string>(devices, StringComparer.Ordinal) : null;
        _vcpu = options.Vcpu;
        _time = options.Time;
        _ring = new TraceRing(options.Capacity);
        _start = _time.GetTimestamp();
        _thread = new Thread(WriteLines) { Name = "trace", IsBackground = true };
        _thread.Start();
    }

    /// <summary>How many accesses were not written: the ring was full, or the output failed.</summary>
    public long Lost => _ring.Lost;

    /// <summary>Why the output failed, or null. Nothing is written after a failure.</summary>
    public Exception? Failure => Volatile.Read(ref _failure);

    /// <inheritdoc/>
    public bool Observes(Claim claim)
    {
        ArgumentNullException.ThrowIfNull(claim);
        return _devices is null || _devices.Contains(claim.Device) || claim is HandlerClaim { Handler: IRegionRouter };
    }

    /// <inheritdoc/>
    public void OnAccess(in ObservedAccess access)
    {
        if (_stop.IsSet)
        {
            return;
        }

        string device = access.Claim.Device;
        var names = access.Handler as IRegionNames;
        ulong offset = access.Offset;
        if (access.Handler is IRegionRouter router)
        {
            if (router.TryRoute(offset, out string? routed, out IRegionNames? inside, out ulong insideOffset))
            {
                (device, names, offset) = (routed, inside, insideOffset);
            }
            else if (names is null)
            {
                // Configuration space of no function.
                return;
            }
        }

        if (_devices is not null && !_devices.Contains(device))
        {
            return;
        }

        _ring.Add(new TracedAccess
        {
            Time = _time.GetTimestamp(),
            Vcpu = _vcpu?.Invoke() ?? -1,
            Device = device,
            Claim = access.Claim.Name,
            Names = names,
            Offset = offset,
            Value = access.Value,
            Selected = names?.SelectedAt(offset) ?? -1,
            IsWrite = access.IsWrite,
            Failed = access.Failed,
        });
    }

    /// <summary>
    /// Writes what was seen and ends the trace. Waits at most five seconds for the output; if that takes longer, the rest goes out meanwhile or is
    /// lost with the process.
    /// </summary>
    public void Dispose()
    {
        _stop.Set();
        _thread.Join(FlushMilliseconds);
    }

    private void WriteLines()
    {
        var text = new StringBuilder();
        bool last;
        do
        {
            last = _stop.Wait(PollMilliseconds);
            WriteSeen(text);
        }
        while (!last);

        try
        {
            _output.Dispose();
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
        }
    }

    private void WriteSeen(StringBuilder text)
    {
        while (true)
        {
            text.Clear();
            int lines = 0;
            while (lines < 256 && _ring.TryTake(out TracedAccess access))
            {
                access.Append(text, (long)_time.GetElapsedTime(_start, access.Time).TotalMicroseconds);
                lines++;
            }

            long lost = Failure is null ? _ring.Lost : _told;
            if (lost != _told)
            {
                text.Append(CultureInfo.InvariantCulture, $"# {lost - _told} accesses are not shown\n");
                _told = lost;
            }

            if (text.Length == 0)
            {
                return;
            }

            Write(text, lines);
        }
    }

    private void Write(StringBuilder text, int lines)
    {
        if (Failure is null)
        {
            try
            {
                _output.Write(text);
                _output.Flush();
                return;
            }
            catch (Exception e)
            {
                Volatile.Write(ref _failure, e);
            }
        }

        for (int i = 0; i < lines; i++)
        {
            _ring.CountLoss();
        }
    }
}
