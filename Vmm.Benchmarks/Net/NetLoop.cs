using System;
using System.Runtime.InteropServices;
using System.Text;
using Vmm.Benchmarks.Harness;

namespace Vmm.Benchmarks.Net;

/// <summary>net_loop.c: packets between memory and a tap by nothing but system calls, and a sender of frames.</summary>
internal sealed unsafe class NetLoop : IDisposable
{
    /// <summary>Packets that one system call moves where they are moved together.</summary>
    public const int Batch = 64;

    private readonly CLibrary _library = new("Net", "net_loop.c");
    private readonly nint* _vectors = (nint*)NativeMemory.AllocZeroed(4 * Batch, (nuint)sizeof(nint));
    private readonly byte* _memory;
    private readonly int _room;

    /// <param name="room">Bytes for a packet with its header.</param>
    /// <exception cref="InvalidOperationException">The kernel has no io_uring.</exception>
    public NetLoop(int room)
    {
        _room = room;
        _memory = (byte*)NativeMemory.AllocZeroed(Batch, (nuint)room);
        int error = ((delegate* unmanaged<int>)_library["ring_open"])();
        if (error != 0)
        {
            throw new InvalidOperationException($"io_uring: errno {error}");
        }
    }

    /// <summary>Nanoseconds that a thread of this process has had a processor.</summary>
    public long TimeOf(int thread) => ((delegate* unmanaged<int, long>)_library["thread_time_of"])(thread);

    /// <summary>Sends packets; gives nanoseconds of the processor each.</summary>
    public double Send(int descriptor, ReadOnlySpan<byte> packet, int count, bool byRing)
    {
        SetVectors(packet);
        var send = (delegate* unmanaged<int, void*, long, int, long>)_library["send_packets"];
        long start = ThreadTime();
        long sent = send(descriptor, _vectors, count, byRing ? 1 : 0);
        long time = ThreadTime() - start;
        return sent == count ? (double)time / count : throw new InvalidOperationException($"C sent {sent} packets of {count}");
    }

    /// <summary>Receives the packets that wait; gives nanoseconds of the processor each.</summary>
    public double Receive(int descriptor, int expected, bool byRing)
    {
        SetVectors(new byte[_room]);
        var receive = (delegate* unmanaged<int, void*, int, long>)_library["receive_packets"];
        long start = ThreadTime();
        long received = receive(descriptor, _vectors, byRing ? 1 : 0);
        long time = ThreadTime() - start;
        return received == expected
            ? (double)time / received
            : throw new InvalidOperationException($"C received {received} packets of {expected}");
    }

    /// <summary>Makes a socket for <see cref="Inject"/>; it lasts as long as the process.</summary>
    /// <param name="interfaceName">Where frames go.</param>
    /// <exception cref="InvalidOperationException">The kernel refuses.</exception>
    public int OpenSender(string interfaceName)
    {
        fixed (byte* pointer = (byte[])[.. Encoding.ASCII.GetBytes(interfaceName), 0])
        {
            int sender = ((delegate* unmanaged<byte*, int>)_library["sender_open"])(pointer);
            return sender >= 0 ? sender : throw new InvalidOperationException($"a packet socket on {interfaceName}: errno {-sender}");
        }
    }

    /// <summary>Has frames come from the host's side of an interface.</summary>
    /// <param name="sender">A socket of <see cref="OpenSender"/>.</param>
    /// <param name="packet">Header of 12 bytes, and the frame.</param>
    /// <param name="count">How many, at most 1024.</param>
    public void Inject(int sender, ReadOnlySpan<byte> packet, int count)
    {
        // The socket's header has no num_buffers.
        byte[] frame = [.. packet[..10], .. packet[12..]];
        fixed (byte* pointer = frame)
        {
            int sent = ((delegate* unmanaged<int, byte*, long, int, int>)_library["send_frames"])(sender, pointer, frame.Length, count);
            if (sent != count)
            {
                throw new InvalidOperationException($"{sent} of {count} frames arrived");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ((delegate* unmanaged<void>)_library["ring_close"])();
        NativeMemory.Free(_memory);
        NativeMemory.Free(_vectors);
        _library.Dispose();
    }

    private long ThreadTime() => ((delegate* unmanaged<long>)_library["thread_time"])();

    /// <summary>Two pieces a packet, its header and the rest.</summary>
    private void SetVectors(ReadOnlySpan<byte> packet)
    {
        for (int i = 0; i < Batch; i++)
        {
            byte* place = _memory + ((nint)i * _room);
            packet.CopyTo(new Span<byte>(place, _room));
            _vectors[4 * i] = (nint)place;
            _vectors[(4 * i) + 1] = 12;
            _vectors[(4 * i) + 2] = (nint)place + 12;
            _vectors[(4 * i) + 3] = packet.Length - 12;
        }
    }
}
