using System;
using System.Globalization;
using System.Text;
using Vmm.Tests.Api;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>Requests in the form that libvirt's driver has libcurl give them, on one connection as long as it lasts.</summary>
/// <param name="socket">The path of the API.</param>
internal sealed class CurlClient(string socket) : IDisposable
{
    private RawClient? _connection;

    private RawClient Connection => _connection ??= new RawClient(socket);

    public RawAnswer Get(string endpoint)
    {
        Connection.Send(
            $"GET /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: application/json\r\n\r\n");
        return Connection.ReadAnswer();
    }

    /// <summary>CURLOPT_POSTFIELDS with a custom PUT.</summary>
    /// <remarks>libcurl asks first whether it may send a body of more than 1 MiB; above 1 KiB in older versions.</remarks>
    public RawAnswer Put(string endpoint, string body)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(body);
        Connection.Send(string.Create(
            CultureInfo.InvariantCulture,
            $"PUT /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
                + $"Content-Length: {bytes.Length}\r\nExpect: 100-continue\r\n\r\n"));
        Connection.ReadAnswer().Want(100, endpoint);
        Connection.Send(bytes);
        return Connection.ReadAnswer();
    }

    /// <summary>CURLOPT_UPLOAD with CURLOPT_INFILESIZE 0.</summary>
    public RawAnswer Put(string endpoint)
    {
        Connection.Send($"PUT /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n");
        return Connection.ReadAnswer();
    }

    /// <summary>CURLOPT_UPLOAD without a size, as older drivers do: a body in chunks, which is empty.</summary>
    public RawAnswer PutChunked(string endpoint)
    {
        Connection.Send(
            $"PUT /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
        RawAnswer answer = Connection.ReadAnswer();
        if (answer.Status == 100)
        {
            Connection.Send("0\r\n\r\n");
            return Connection.ReadAnswer();
        }

        // Answered without the body: libcurl takes that, and does not use the connection again.
        Dispose();
        return answer;
    }

    public void Dispose()
    {
        _connection?.Dispose();
        _connection = null;
    }
}
