using System;
using System.Globalization;
using System.Text;
using Vmm.Tests.Api;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>Requests in the form that Go's net/http gives those of an OpenAPI client, on one connection.</summary>
/// <param name="socket">The path of the API.</param>
internal sealed class GoClient(string socket) : IDisposable
{
    private const string Agent = "Host: localhost\r\nUser-Agent: OpenAPI-Generator/1.0.0/go\r\n";

    private readonly RawClient _connection = new(socket);

    public RawAnswer Get(string endpoint)
    {
        _connection.Send($"GET /api/v1/{endpoint} HTTP/1.1\r\n{Agent}Accept: application/json\r\nAccept-Encoding: gzip\r\n\r\n");
        return _connection.ReadAnswer();
    }

    public RawAnswer Put(string endpoint)
    {
        _connection.Send($"PUT /api/v1/{endpoint} HTTP/1.1\r\n{Agent}Content-Length: 0\r\nAccept-Encoding: gzip\r\n\r\n");
        return _connection.ReadAnswer();
    }

    /// <summary>The encoder of JSON ends a body with a line feed.</summary>
    public RawAnswer Put(string endpoint, string body, bool answers = false)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(body + "\n");
        string accept = answers ? "Accept: application/json\r\n" : "";
        _connection.Send(string.Create(
            CultureInfo.InvariantCulture,
            $"PUT /api/v1/{endpoint} HTTP/1.1\r\n{Agent}Content-Length: {bytes.Length}\r\n{accept}Content-Type: application/json\r\n"
                + $"Accept-Encoding: gzip\r\n\r\n"));
        _connection.Send(bytes);
        return _connection.ReadAnswer();
    }

    public void Dispose() => _connection.Dispose();
}
