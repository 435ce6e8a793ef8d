using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Control;

namespace Vmm.Api.Endpoints;

/// <summary>The paths of the API, and the answers of all requests, whatever goes wrong with them.</summary>
internal sealed class EndpointTable
{
    private const string Prefix = "/api/v1/";

    private readonly FrozenDictionary<string, Endpoint> _endpoints;
    private readonly Func<ApiRequest, Task<ApiAnswer>> _inspectOne;
    private readonly Func<ApiRequest, Task<ApiAnswer>> _metrics;
    private readonly ILogger _logger;

    public EndpointTable(MachineController controller, ApiServerOptions options)
    {
        _logger = GuardedLogger.Create(options.LoggerFactory, "Vmm.Api");
        var looks = new LookEndpoints(controller, options);
        var commands = new CommandEndpoints(controller, options);
        _inspectOne = looks.InspectOne;
        _metrics = looks.Metrics;
        Dictionary<string, Endpoint> table = new(StringComparer.Ordinal)
        {
            ["vmm.ping"] = new(HttpMethods.Get, looks.Ping),
            ["vm.info"] = new(HttpMethods.Get, looks.Info),
            ["vm.counters"] = new(HttpMethods.Get, looks.Counters),
            ["vm.inspect"] = new(HttpMethods.Get, looks.Inspect),
            ["vmm.shutdown"] = new(HttpMethods.Put, commands.End),
            ["vm.create"] = new(HttpMethods.Put, commands.Create),
            ["vm.delete"] = new(HttpMethods.Put, commands.Delete),
            ["vm.boot"] = new(HttpMethods.Put, commands.Boot),
            ["vm.pause"] = new(HttpMethods.Put, commands.Pause),
            ["vm.resume"] = new(HttpMethods.Put, commands.Resume),
            ["vm.shutdown"] = new(HttpMethods.Put, commands.ShutDown),
            ["vm.reboot"] = new(HttpMethods.Put, commands.Reboot),
            ["vm.power-button"] = new(HttpMethods.Put, commands.PowerButton),
            ["vm.nmi"] = new(HttpMethods.Put, commands.Nmi),
            ["vm.add-disk"] = new(HttpMethods.Put, commands.AddDisk),
            ["vm.add-net"] = new(HttpMethods.Put, commands.AddNet),
            ["vm.add-device"] = new(HttpMethods.Put, commands.AddDevice),
            ["vm.remove-device"] = new(HttpMethods.Put, commands.RemoveDevice),
            ["vm.resize-disk"] = new(HttpMethods.Put, commands.ResizeDisk),
        };
        foreach (string absent in (string[])
            [
                "vm.resize", "vm.resize-zone", "vm.add-fs", "vm.add-generic-vhost-user", "vm.add-pmem", "vm.add-vsock", "vm.add-vdpa",
                "vm.add-user-device", "vm.snapshot", "vm.restore", "vm.coredump", "vm.receive-migration", "vm.send-migration",
            ])
        {
            string sentence = $"this VMM has no {absent}";
            table[absent] = new Endpoint(
                HttpMethods.Put, _ => Task.FromResult(ApiAnswer.Refusal(StatusCodes.Status501NotImplemented, sentence)));
        }

        _endpoints = table.ToFrozenDictionary(StringComparer.Ordinal);
    }

    /// <summary>Answers a request. Throws only what ends the connection.</summary>
    public async Task AnswerAsync(HttpContext context)
    {
        ApiAnswer answer = await FindAnswerAsync(context).ConfigureAwait(false);
        HttpResponse response = context.Response;
        response.StatusCode = answer.Status;
        if (answer.Status != StatusCodes.Status204NoContent)
        {
            response.ContentType = answer.ContentType;
            response.ContentLength = answer.Body.Length;
            await response.Body.WriteAsync(answer.Body, context.RequestAborted).ConfigureAwait(false);
        }
    }

    private async Task<ApiAnswer> FindAnswerAsync(HttpContext context)
    {
        (Endpoint? endpoint, string below) = Find(context.Request.Path.Value ?? "");
        if (endpoint is null)
        {
            return ApiAnswer.Refusal(StatusCodes.Status404NotFound, "there is no such path: those of cloud-hypervisor's API begin with /api/v1/");
        }

        if (context.Request.Method != endpoint.Method)
        {
            context.Response.Headers.Allow = endpoint.Method;
            return ApiAnswer.Refusal(StatusCodes.Status405MethodNotAllowed, $"this path is for {endpoint.Method}");
        }

        using var request = new ApiRequest(context) { Below = below };
        try
        {
            return await endpoint.Answer(request).ConfigureAwait(false);
        }
        catch (ControlException e)
        {
            return ApiAnswer.Refusal(StatusOf(e.Error), e.Message);
        }
        catch (UsageException e)
        {
            return ApiAnswer.Refusal(StatusCodes.Status400BadRequest, e.Message);
        }
        catch (BadHttpRequestException e)
        {
            return ApiAnswer.Refusal(e.StatusCode, e.Message);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody waits for the answer.
            return ApiAnswer.Done;
        }
        catch (Exception e)
        {
            _logger.RequestFailed(context.Request.Path.Value ?? "", e);
            return ApiAnswer.Refusal(StatusCodes.Status500InternalServerError, e.Message);
        }
    }

    private (Endpoint? Endpoint, string Below) Find(string path)
    {
        const string InspectOne = "vm.inspect/";
        if (path == "/metrics")
        {
            return (new Endpoint(HttpMethods.Get, _metrics), "");
        }

        if (!path.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return (null, "");
        }

        string word = path[Prefix.Length..];
        return word.StartsWith(InspectOne, StringComparison.Ordinal)
            ? (new Endpoint(HttpMethods.Get, _inspectOne), word[InspectOne.Length..])
            : (_endpoints.GetValueOrDefault(word), "");
    }

    private static int StatusOf(ControlError error) => error switch
    {
        ControlError.NotCreated => StatusCodes.Status404NotFound,
        ControlError.WrongState => StatusCodes.Status405MethodNotAllowed,
        ControlError.Conflict => StatusCodes.Status409Conflict,
        ControlError.BadRequest => StatusCodes.Status400BadRequest,
        _ => StatusCodes.Status500InternalServerError,
    };

    private sealed record Endpoint(string Method, Func<ApiRequest, Task<ApiAnswer>> Answer);
}
