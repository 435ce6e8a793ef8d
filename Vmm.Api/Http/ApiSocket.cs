using System;
using System.Globalization;
using System.IO;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Vmm.Api.Interop;
using Vmm.Machine.Host;

namespace Vmm.Api.Http;

/// <summary>The listening Unix socket of the API, and the file that it has (CTL-3).</summary>
/// <remarks>
/// The file is made with mode 0600. One that a dead process left behind is replaced; one that somebody listens on is not. Of two processes that want
/// the same path at once one gets it: a lock on a file beside it, which lives as long as the socket, says which. At the end both are removed.
/// </remarks>
internal sealed class ApiSocket : IDisposable
{
    private const string Part = "api-socket";
    private const string InUse = "another process listens there";
    private const int Busy = 11;                                // EAGAIN
    private const int Backlog = 64;
    private const uint Mode = 0x180;                            // 0600

    private readonly string? _path;
    private readonly SafeFileHandle? _lock;
    private readonly SocketCalls.FileIdentity? _file;

    private ApiSocket(Socket socket, string? path, SafeFileHandle? held)
    {
        (Socket, _path, _lock) = (socket, path, held);
        _file = path is null ? null : SocketCalls.Find(path);
    }

    /// <summary>The socket.</summary>
    public Socket Socket { get; }

    /// <summary>Makes a socket and its file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="MachineException">It cannot be made, or another process listens there.</exception>
    public static ApiSocket Listen(string path)
    {
        UnixDomainSocketEndPoint place;
        try
        {
            // The longest of its names.
            _ = new UnixDomainSocketEndPoint(NewOf(path));
            place = new UnixDomainSocketEndPoint(path);
        }
        catch (ArgumentException)
        {
            throw new MachineException(Part, path, "the path of a socket has 1 to 103 bytes here");
        }

        SafeFileHandle? held = SocketCalls.TryLock(LockOf(path), out int error);
        if (held is null)
        {
            throw new MachineException(
                Part, path, error == Busy ? InUse : $"{LockOf(path)} cannot be made: {Marshal.GetPInvokeErrorMessage(error)}");
        }

        Socket? socket = null;
        try
        {
            MakeRoom(path, place);
            File.Delete(NewOf(path));
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            if (!SocketCalls.TrySetMode(socket.SafeHandle, Mode))
            {
                throw new MachineException(Part, path, "the mode of the socket cannot be set");
            }

            // Made beside its place and moved there: whoever finds it can connect, and it is not .NET that removes it.
            socket.Bind(new UnixDomainSocketEndPoint(NewOf(path)));
            socket.Listen(Backlog);
            File.Move(NewOf(path), path);
            return new ApiSocket(socket, path, held);
        }
        catch (Exception e)
        {
            socket?.Dispose();
            File.Delete(LockOf(path));
            held.Dispose();
            if (e is SocketException or IOException)
            {
                throw new MachineException(Part, path, $"cannot be made: {e.Message}", e);
            }

            throw;
        }
    }

    /// <summary>Takes a socket that listens already.</summary>
    /// <param name="descriptor">Its number; ours from now on.</param>
    /// <exception cref="MachineException">It is no listening Unix socket.</exception>
    public static ApiSocket Adopt(int descriptor)
    {
        string subject = string.Create(CultureInfo.InvariantCulture, $"fd={descriptor}");
        const string Wanted = "not a Unix stream socket that listens";
        if (!SocketCalls.IsSocket(descriptor))
        {
            throw new MachineException(Part, subject, Wanted);
        }

        Socket? socket = null;
        try
        {
            socket = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
            bool listens = socket.AddressFamily == AddressFamily.Unix
                && socket.SocketType == SocketType.Stream
                && (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.AcceptConnection)! != 0;
            return listens ? new ApiSocket(socket, null, null) : throw new MachineException(Part, subject, Wanted);
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket?.Dispose();
            throw new MachineException(Part, subject, Wanted, e);
        }
        catch
        {
            socket?.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Socket.Dispose();
        if (_path is null || _lock is null || _lock.IsClosed)
        {
            return;
        }

        try
        {
            if (_file is not null && SocketCalls.Find(_path) == _file)
            {
                File.Delete(_path);
            }

            File.Delete(LockOf(_path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A folder that nobody may write to any more.
        }

        _lock.Dispose();
    }

    private static string LockOf(string path) => path + ".lock";

    private static string NewOf(string path) => path + ".new";

    /// <summary>Removes the file of a socket that nobody listens on.</summary>
    private static void MakeRoom(string path, UnixDomainSocketEndPoint place)
    {
        if (SocketCalls.Find(path) is not { IsSocket: true })
        {
            // A file that is no socket is left alone, and found when the socket is bound.
            return;
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            probe.Connect(place);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        catch (SocketException)
        {
            // It is there and busy.
        }

        throw new MachineException(Part, path, InUse);
    }
}
