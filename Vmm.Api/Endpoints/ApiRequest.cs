using System;
using System.Buffers;
using System.Collections.Generic;
using System.IO.Pipelines;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;
using Microsoft.Win32.SafeHandles;
using Vmm.Api.Config;
using Vmm.Api.Http;
using Vmm.Machine.Control;

namespace Vmm.Api.Endpoints;

/// <summary>A request: its body as JSON, and the descriptors that came with it.</summary>
/// <param name="context">Kestrel's.</param>
internal sealed class ApiRequest(HttpContext context) : IDisposable
{
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 16, AllowDuplicateProperties = false };

    private readonly List<SafeFileHandle> _descriptors = [];
    private JsonDocument? _body;

    /// <summary>The descriptors that have come and that nobody has taken over yet.</summary>
    public IReadOnlyList<SafeFileHandle> Descriptors
    {
        get
        {
            _descriptors.AddRange(context.Features.Get<IReceivedDescriptors>()?.TakeAll() ?? []);
            return _descriptors;
        }
    }

    /// <summary>The part of the path behind the endpoint's, without its slash; empty for most.</summary>
    public string Below { get; init; } = "";

    /// <summary>Canceled when the client is gone.</summary>
    public CancellationToken Aborted => context.RequestAborted;

    /// <summary>A person reads the answer: text comes before JSON.</summary>
    public bool WantsText => context.Request.Headers.Accept.ToString().StartsWith("text/plain", StringComparison.Ordinal);

    /// <summary>Somebody else disposes the descriptors.</summary>
    public void GiveAwayDescriptors() => _descriptors.Clear();

    /// <summary>Reads the body, which is an object.</summary>
    /// <param name="name">The name of the object in messages.</param>
    /// <exception cref="ControlException">It is none.</exception>
    /// <exception cref="BadHttpRequestException">It is too long, or too slow.</exception>
    public async Task<ConfigObject> ReadAsync(string name)
    {
        ReadResult read;
        do
        {
            read = await context.Request.BodyReader.ReadAsync(context.RequestAborted).ConfigureAwait(false);
            if (!read.IsCompleted)
            {
                context.Request.BodyReader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        while (!read.IsCompleted);

        try
        {
            byte[] bytes = read.Buffer.ToArray();
            context.Request.BodyReader.AdvanceTo(read.Buffer.End);
            if (bytes.Length == 0)
            {
                throw new ControlException(ControlError.BadRequest, $"the request needs a body: a JSON object, {name}");
            }

            _body = JsonDocument.Parse(bytes, Strict);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The second for a name with half a character, which JSON can spell and no text can hold.
            throw new ControlException(ControlError.BadRequest, $"the body is not JSON as it is wanted here: {e.Message}", e);
        }

        return _body.RootElement.ValueKind == JsonValueKind.Object
            ? new ConfigObject(_body.RootElement, name, isRoot: true)
            : throw new ControlException(ControlError.BadRequest, $"the body is not a JSON object, {name}");
    }

    public void Dispose()
    {
        _body?.Dispose();
        foreach (SafeFileHandle descriptor in Descriptors)
        {
            descriptor.Dispose();
        }
    }
}
