using System;
using System.Collections.Generic;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Win32.SafeHandles;
using Vmm.Api.Interop;
using Vmm.DeviceModel.Interop;

namespace Vmm.Api.Http;

/// <summary>A connection to a Unix socket for Kestrel, which keeps the descriptors that come with its bytes.</summary>
/// <remarks>Two loops move bytes between the socket and a pipe each; a pipe that is full stops its loop. What the peer does not read holds up the peer.</remarks>
internal sealed class UnixConnection : ConnectionContext, IReceivedDescriptors
{
    // What a connection may send before a request takes it; the kernel sends at most as many at once.
    private const int DescriptorLimit = 253;

    private readonly Socket _socket;
    private readonly Pipe _input = new(new PipeOptions(pauseWriterThreshold: 1 << 17, resumeWriterThreshold: 1 << 16, useSynchronizationContext: false));
    private readonly Pipe _output = new(new PipeOptions(pauseWriterThreshold: 1 << 17, resumeWriterThreshold: 1 << 16, useSynchronizationContext: false));
    private readonly CancellationTokenSource _closed = new();
    private readonly CancellationTokenSource _abort = new();
    private readonly SemaphoreSlim _answered = new(0);
    private readonly Lock _lock = new();
    private readonly List<SafeFileHandle> _descriptors = [];
    private Task _loops = Task.CompletedTask;
    private long _sent;
    private long _sentBeforeInput;
    private bool _disposed;

    public UnixConnection(Socket socket)
    {
        _socket = socket;
        ConnectionId = Guid.NewGuid().ToString("N");
        ConnectionClosed = _closed.Token;
        Transport = new Duplex(_input.Reader, _output.Writer);
        Features.Set<IReceivedDescriptors>(this);
    }

    public override string ConnectionId { get; set; }

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new ConnectionItems();

    public override IDuplexPipe Transport { get; set; }

    /// <summary>Begins to move bytes.</summary>
    public void Start() => _loops = Task.WhenAll(ReceiveAsync(), SendAsync());

    public IReadOnlyList<SafeFileHandle> TakeAll()
    {
        lock (_lock)
        {
            SafeFileHandle[] all = [.. _descriptors];
            _descriptors.Clear();
            return all;
        }
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        try
        {
            _abort.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Over already.
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await _input.Reader.CompleteAsync().ConfigureAwait(false);
        await _output.Writer.CompleteAsync().ConfigureAwait(false);

        // What was answered goes out first: a peer that does not read it has its connection aborted by Kestrel's limit, or here.
        _abort.CancelAfter(TimeSpan.FromSeconds(5));
        await _loops.ConfigureAwait(false);
        lock (_lock)
        {
            _disposed = true;
        }

        Close(TakeAll());
        _socket.Dispose();
        _abort.Dispose();
        _answered.Dispose();
        _closed.Dispose();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    private static void Close(IEnumerable<SafeFileHandle> descriptors)
    {
        foreach (SafeFileHandle descriptor in descriptors)
        {
            descriptor.Dispose();
        }
    }

    private async Task ReceiveAsync()
    {
        await Task.Yield();
        var arrived = new List<SafeFileHandle>();
        bool broken = false;
        try
        {
            while (true)
            {
                // Nothing is read: this waits until there is something to take.
                await _socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, _abort.Token).ConfigureAwait(false);
                int received = SocketCalls.Receive(_socket.SafeHandle, _input.Writer.GetMemory(4096).Span, arrived);
                Keep(arrived);
                if (received == -1)
                {
                    continue;
                }

                if (received < 0)
                {
                    broken = true;
                }

                if (received <= 0)
                {
                    break;
                }

                _sentBeforeInput = Volatile.Read(ref _sent);
                _input.Writer.Advance(received);
                if ((await _input.Writer.FlushAsync(_abort.Token).ConfigureAwait(false)).IsCompleted)
                {
                    break;
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The peer is gone, or is not wanted any more.
            broken = true;
        }

        if (!broken)
        {
            await AwaitAnswerAsync().ConfigureAwait(false);
        }

        await _input.Writer.CompleteAsync().ConfigureAwait(false);
        if (broken)
        {
            TellClosed();
        }
    }

    /// <summary>
    /// Waits for the answer of a peer that sends no more and reads still: Kestrel takes the end of the input for that of the peer, and drops the answer.
    /// Ends when the answer has gone out, the peer is gone, or the connection is aborted; a request that is not whole has Kestrel's limits of time.
    /// </summary>
    private async Task AwaitAnswerAsync()
    {
        while (Volatile.Read(ref _sent) == _sentBeforeInput && !_abort.IsCancellationRequested && !HasHungUp())
        {
            _ = await _answered.WaitAsync(20, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private bool HasHungUp()
    {
        try
        {
            return DescriptorIo.HasHungUp(_socket.SafeHandle);
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
    }

    private void TellClosed()
    {
        ThreadPool.UnsafeQueueUserWorkItem(static closed => closed.TryCancel(), this, preferLocal: false);
    }

    private void TryCancel()
    {
        try
        {
            _closed.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Over already.
        }
    }

    private void Keep(List<SafeFileHandle> arrived)
    {
        lock (_lock)
        {
            foreach (SafeFileHandle descriptor in arrived)
            {
                if (_disposed || _descriptors.Count == DescriptorLimit)
                {
                    descriptor.Dispose();
                }
                else
                {
                    _descriptors.Add(descriptor);
                }
            }
        }

        arrived.Clear();
    }

    private async Task SendAsync()
    {
        await Task.Yield();
        try
        {
            while (true)
            {
                ReadResult read = await _output.Reader.ReadAsync(_abort.Token).ConfigureAwait(false);
                foreach (ReadOnlyMemory<byte> piece in read.Buffer)
                {
                    ReadOnlyMemory<byte> left = piece;
                    while (!left.IsEmpty)
                    {
                        left = left[await _socket.SendAsync(left, SocketFlags.None, _abort.Token).ConfigureAwait(false)..];
                    }
                }

                if (!read.Buffer.IsEmpty)
                {
                    Volatile.Write(ref _sent, _sent + 1);
                    if (_answered.CurrentCount == 0)
                    {
                        // This loop alone releases: there is never more than one.
                        _answered.Release();
                    }
                }

                _output.Reader.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                {
                    break;
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The peer is gone, or is not wanted any more.
        }

        await _output.Reader.CompleteAsync().ConfigureAwait(false);
        try
        {
            // Ends the other loop, too.
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The peer was quicker.
        }

        TellClosed();
    }

    private sealed class Duplex(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;
    }
}
