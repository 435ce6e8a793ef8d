using System;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Vmm.Api.Endpoints;
using Vmm.Api.Http;
using Vmm.Machine.Control;
using Vmm.Machine.Host;

namespace Vmm.Api;

/// <summary>cloud-hypervisor's HTTP API on a Unix socket, over a <see cref="MachineController"/> (CTL-1 to CTL-5).</summary>
/// <remarks>
/// Kestrel without a host: HTTP/1.1, 64 connections, requests of at most 1 MiB, headers within 10 s, bodies at no less than 240 bytes a second. Requests
/// that change the machine are commands of the controller, carried out one after the other; those that look do not wait for them.
/// </remarks>
public sealed class ApiServer : IAsyncDisposable
{
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    private readonly ApiSocket _socket;
    private readonly KestrelServer _server;

    private ApiServer(ApiSocket socket, KestrelServer server) => (_socket, _server) = (socket, server);

    /// <summary>Makes the socket and begins to answer.</summary>
    /// <param name="controller">Carries out what is asked for.</param>
    /// <param name="options">Where to listen.</param>
    /// <exception cref="MachineException">The socket cannot be made, or another process listens there.</exception>
    public static async Task<ApiServer> StartAsync(MachineController controller, ApiServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(controller);
        ArgumentNullException.ThrowIfNull(options);
        ApiSocket socket = (options.Path, options.Descriptor) switch
        {
            ({ } path, null) => ApiSocket.Listen(path),
            (null, { } descriptor) => ApiSocket.Adopt(descriptor),
            _ => throw new ArgumentException("an API server listens at a path or at a descriptor", nameof(options)),
        };
        var kestrel = new KestrelServerOptions { AddServerHeader = false, AllowSynchronousIO = false };
        kestrel.Limits.MaxConcurrentConnections = 64;
        kestrel.Limits.MaxRequestBodySize = 1 << 20;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        kestrel.Listen(socket.Socket.LocalEndPoint!, static listen => listen.Protocols = HttpProtocols.Http1);
        var listener = new UnixListener(socket.Socket);
        var server = new KestrelServer(Options.Create(kestrel), listener, options.LoggerFactory ?? NullLoggerFactory.Instance);
        try
        {
            await server.StartAsync(new Application(new EndpointTable(controller, options)), CancellationToken.None).ConfigureAwait(false);
        }
        catch
        {
            server.Dispose();
            socket.Dispose();
            throw;
        }

        return new ApiServer(socket, server);
    }

    /// <summary>Answers what is being asked, for two seconds at most, and removes the socket.</summary>
    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(Farewell);
        await _server.StopAsync(limit.Token).ConfigureAwait(false);
        _server.Dispose();
        _socket.Dispose();
    }

    /// <summary>Takes each request from Kestrel, on a thread of the pool.</summary>
    private sealed class Application(EndpointTable endpoints) : IHttpApplication<HttpContext>
    {
        public HttpContext CreateContext(IFeatureCollection contextFeatures) => new DefaultHttpContext(contextFeatures);

        public Task ProcessRequestAsync(HttpContext context) => endpoints.AnswerAsync(context);

        public void DisposeContext(HttpContext context, Exception? exception)
        {
        }
    }
}
