using System;
using System.IO;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Vmm.Api.Endpoints;

/// <summary>An answer: a status and its body.</summary>
/// <param name="Status">HTTP's.</param>
/// <param name="Body">Bytes; none by default.</param>
/// <param name="ContentType">Of the body.</param>
internal sealed record ApiAnswer(int Status, ReadOnlyMemory<byte> Body = default, string ContentType = ApiAnswer.Json)
{
    public const string Json = "application/json";

    /// <summary>It is done, and there is nothing to say.</summary>
    public static ApiAnswer Done { get; } = new(StatusCodes.Status204NoContent);

    /// <summary>One sentence about why it was not done, as cloud-hypervisor says it: an array of texts.</summary>
    public static ApiAnswer Refusal(int status, string sentence) => new(status, Write(json =>
    {
        json.WriteStartArray();
        json.WriteStringValue(sentence);
        json.WriteEndArray();
    }));

    /// <summary>A JSON value.</summary>
    public static ApiAnswer Of(Action<Utf8JsonWriter> write) => new(StatusCodes.Status200OK, Write(write));

    /// <summary>A text.</summary>
    public static ApiAnswer Of(string text, string contentType) => new(StatusCodes.Status200OK, Encoding.UTF8.GetBytes(text), contentType);

    private static byte[] Write(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            write(json);
        }

        return stream.ToArray();
    }
}
