using System;
using System.Threading;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Queues;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Devices;

/// <summary>The console device with one port (virtio 1.2, 5.3): queue 0 carries input, queue 1 output.</summary>
public sealed class ConsoleDevice : WorkerDevice
{
    private const ulong SizeFeature = 1UL << 0;
    private const int ReceiveQueue = 0;

    internal static readonly RegisterMap<ConsoleDevice> Map = new("console", length: 12, RegisterPolicy.Lanes)
    {
        { 0, 2, RegisterAccess.ReadOnly, "cols", static d => Volatile.Read(ref d._size) & 0xffff },
        { 2, 2, RegisterAccess.ReadOnly, "rows", static d => Volatile.Read(ref d._size) >> 16 },
        { 4, 4, RegisterAccess.ReadOnly, "max_nr_ports", static _ => 1 },
        { 8, 4, RegisterAccess.ReadOnly, "emerg_wr", static _ => 0 },
    };

    private readonly IConsoleBackend _backend;
    private readonly bool _sized;
    private uint _size;
    private long _dropped;

    /// <summary>Makes a console.</summary>
    /// <param name="backend">The host's end; owned by the device from now on.</param>
    /// <param name="options">Size and names.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public ConsoleDevice(IConsoleBackend backend, ConsoleDeviceOptions? options = null)
        : base(options ??= new ConsoleDeviceOptions(), queueCount: 2)
    {
        ArgumentNullException.ThrowIfNull(backend);
        _backend = backend;
        _sized = options.Columns != 0 && options.Rows != 0;
        _size = options.Columns | ((uint)options.Rows << 16);
        Registers = Map.Bind(this);
    }

    /// <summary>The host's end. It belongs to the device, whose worker uses it.</summary>
    public IConsoleBackend Backend => _backend;

    /// <summary>Bytes of output that nobody took: the other end took nothing for half a second, or is gone.</summary>
    public long DroppedBytes => Interlocked.Read(ref _dropped);

    /// <inheritdoc/>
    public override VirtioDeviceType DeviceType => VirtioDeviceType.Console;

    /// <inheritdoc/>
    public override ulong OfferedFeatures => OfferedRingFeatures | (_sized ? SizeFeature : 0);

    /// <inheritdoc/>
    public override IRegisterBlock Registers { get; }

    /// <summary>The screen has another size; the driver is told if it asked for the size.</summary>
    /// <param name="columns">Columns, at least 1.</param>
    /// <param name="rows">Rows, at least 1.</param>
    /// <exception cref="InvalidOperationException">The console was made without a size.</exception>
    public void Resize(ushort columns, ushort rows)
    {
        if (!_sized)
        {
            throw new InvalidOperationException("the console was made without a size");
        }

        ChangeConfiguration(() => Volatile.Write(ref _size, columns | ((uint)rows << 16)));
        if ((Features & SizeFeature) != 0)
        {
            Host?.ConfigurationChanged();
        }
    }

    /// <inheritdoc/>
    public override void Inspect(InspectionNode node)
    {
        base.Inspect(node);
        node.Add("dropped bytes", DroppedBytes);
    }

    /// <inheritdoc/>
    public override SavedState Save()
    {
        uint size = Volatile.Read(ref _size);
        var state = new ConsoleState { Columns = (ushort)size, Rows = (ushort)(size >> 16) };
        return SavedState.Of(ConsoleState.Kind, ConsoleState.Version, state, VirtioStateJson.Default.ConsoleState);
    }

    /// <inheritdoc/>
    public override Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        ConsoleState console = state.Read(ConsoleState.Kind, ConsoleState.Version, VirtioStateJson.Default.ConsoleState);
        return () => Volatile.Write(ref _size, console.Columns | ((uint)console.Rows << 16));
    }

    /// <inheritdoc/>
    protected override QueueHandler CreateHandler(int index, Virtqueue queue)
    {
        return index == ReceiveQueue ? new InputHandler(_backend, queue) : new OutputHandler(this, queue);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            _backend.Dispose();
        }
    }

    private sealed class OutputHandler : RequestHandler
    {
        // A reader that takes nothing for so long is given up until it takes something again: a guest must not wait for it for ever.
        private const int PatienceMilliseconds = 500;
        private const int LookMilliseconds = 20;

        private readonly ConsoleDevice _device;
        private readonly IConsoleBackend _backend;
        private long _position;
        private long _waitingSince;
        private bool _waits;
        private bool _hasRoom = true;

        public OutputHandler(ConsoleDevice device, Virtqueue queue)
            : base(queue)
        {
            _device = device;
            _backend = device._backend;
        }

        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            if (!IsContinued)
            {
                _position = 0;
            }

            GuestBuffers output = chain.Readable;
            long length = Math.Clamp(output.Length - _position, 0, PartLength);
            foreach (Span<byte> piece in length > 0 ? output.Slice(_position, length) : default)
            {
                int taken = _backend.Write(piece);
                _position += Math.Max(0, taken);
                if (taken > 0)
                {
                    _hasRoom = true;
                }

                if (taken < piece.Length)
                {
                    if (taken >= 0 && HasPatience())
                    {
                        _waits = true;
                        return RequestOutcome.Continue;
                    }

                    Interlocked.Add(ref _device._dropped, output.Length - _position);
                    return RequestOutcome.Done;
                }
            }

            return _position < output.Length ? RequestOutcome.Continue : RequestOutcome.Done;
        }

        protected override bool WaitBetweenParts()
        {
            if (!_waits)
            {
                return false;
            }

            // Short, so that a stop is seen.
            _waits = false;
            DescriptorIo.WaitWritable(_backend.OutputDescriptor, LookMilliseconds);
            return true;
        }

        private bool HasPatience()
        {
            long now = Environment.TickCount64;
            if (_hasRoom)
            {
                _hasRoom = false;
                _waitingSince = now;
            }

            return now - _waitingSince < PatienceMilliseconds;
        }
    }

    private sealed class InputHandler : QueueHandler
    {
        private const int AtOnce = 1024;

        private readonly IConsoleBackend _backend;
        private readonly DescriptorChain _chain = new();
        private IWatch? _input;
        private bool _ended;

        public InputHandler(IConsoleBackend backend, Virtqueue queue)
            : base(queue)
        {
            _backend = backend;
        }

        protected override void OnStart()
        {
            // A file or /dev/null cannot be watched and need not be: it is always readable.
            if (DescriptorIo.CanWatch(_backend.InputDescriptor))
            {
                _input = WatchReadable(_backend.InputDescriptor, Run);
                _input.Enabled = false;
            }
        }

        protected override bool Serve()
        {
            using AccessDomain.ReadScope scope = Queue.Enter();
            if (_backend.InputDescriptor < 0 || _ended)
            {
                return false;
            }

            Queue.DisableKicks();
            if (!Queue.TryPop(_chain))
            {
                // No room: look at the input again when the driver brings some.
                Listen(false);
                return Queue.EnableKicksAndCheckForMore();
            }

            if (_chain.WritableLength == 0)
            {
                Queue.MarkBroken("a buffer for input without room");
                return false;
            }

            // stdin may be a blocking descriptor: never read what is not there.
            if (!DescriptorIo.IsReadable(_backend.InputDescriptor))
            {
                Queue.UndoPop(_chain);
                Listen(true);
                return false;
            }

            Span<byte> buffer = stackalloc byte[AtOnce];
            buffer = buffer[..(int)Math.Min(AtOnce, _chain.WritableLength)];
            _ended = !_backend.Read(buffer, out int received);
            if (received > 0)
            {
                _chain.Writable.CopyFrom(buffer[..received]);
                Queue.Complete(_chain, (uint)received);
                Queue.SignalIfNeeded();
            }
            else
            {
                Queue.UndoPop(_chain);
            }

            Listen(!_ended);
            return _input is null;
        }

        private void Listen(bool enabled)
        {
            if (_input is not null)
            {
                _input.Enabled = enabled;
            }
        }
    }
}
