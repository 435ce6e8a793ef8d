using System;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Vmm.Tests.Api;

/// <summary>A client that sends the bytes it is told to, with descriptors where asked, and reads answers.</summary>
internal sealed unsafe partial class RawClient : IDisposable
{
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[1 << 16];
    private string _read = "";

    public RawClient(string path)
    {
        _socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 60_000, SendTimeout = 60_000 };
        _socket.Connect(new UnixDomainSocketEndPoint(path));
    }

    public Socket Socket => _socket;

    public void Send(string text) => Send(Encoding.Latin1.GetBytes(text));

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    /// <summary>Sends bytes and descriptors in one message.</summary>
    public void Send(string text, params int[] descriptors)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        int length = descriptors.Length * sizeof(int);
        byte[] control = new byte[16 + ((length + 7) & ~7)];
        BitConverter.TryWriteBytes(control, (long)(16 + length));
        BitConverter.TryWriteBytes(control.AsSpan(8), 1);
        BitConverter.TryWriteBytes(control.AsSpan(12), 1);
        MemoryMarshal.AsBytes<int>(descriptors).CopyTo(control.AsSpan(16));
        fixed (byte* start = bytes)
        fixed (byte* ancillary = control)
        {
            var vector = new Vector { Base = start, Length = (nuint)bytes.Length };
            var message = new Message { Vectors = &vector, VectorCount = 1, Control = ancillary, ControlLength = (nuint)control.Length };
            sendmsg((int)_socket.Handle, &message, 0).Should().Be(bytes.Length, $"errno {Marshal.GetLastPInvokeError()}");
        }
    }

    /// <summary>Asks with a body of a known length, or none.</summary>
    public RawAnswer Ask(string method, string path, string? body = null)
    {
        string length = body is null ? "" : string.Create(CultureInfo.InvariantCulture, $"Content-Length: {Encoding.UTF8.GetByteCount(body)}\r\n");
        Send(Encoding.UTF8.GetBytes($"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n{body}"));
        return ReadAnswer();
    }

    /// <summary>Reads one answer; its status is 0 if the connection ends before it.</summary>
    public RawAnswer ReadAnswer()
    {
        int end;
        while ((end = _read.IndexOf("\r\n\r\n", StringComparison.Ordinal)) < 0)
        {
            if (!TryRead())
            {
                return new RawAnswer(0, _read, "");
            }
        }

        string head = _read[..end];
        _read = _read[(end + 4)..];
        int status = int.Parse(head.AsSpan(9, 3), CultureInfo.InvariantCulture);
        int length = 0;
        foreach (string line in head.Split("\r\n"))
        {
            if (line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase))
            {
                length = int.Parse(line.AsSpan(15), CultureInfo.InvariantCulture);
            }
        }

        head.Should().NotContain("Transfer-Encoding");
        while (_read.Length < length && TryRead())
        {
        }

        string body = _read[..Math.Min(length, _read.Length)];
        _read = _read[body.Length..];
        return new RawAnswer(status, head, Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(body)));
    }

    public void Dispose() => _socket.Dispose();

    private bool TryRead()
    {
        try
        {
            int received = _socket.Receive(_buffer);
            _read += Encoding.Latin1.GetString(_buffer, 0, received);
            return received > 0;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset)
        {
            return false;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendmsg(int socket, Message* message, int flags);

    [StructLayout(LayoutKind.Sequential)]
    private struct Vector
    {
        public void* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public void* Name;
        public uint NameLength;
        public Vector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
