using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Sockets;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;

namespace Vmm.Cli;

/// <summary><c>vmm ctl</c>: asks the API socket of a running <c>vmm</c>, or of a cloud-hypervisor, in the words of ch-remote.</summary>
internal sealed class CtlCommand
{
    private const string Socket = "--api-socket";

    private static readonly Dictionary<string, CtlWord> Words = new(StringComparer.Ordinal)
    {
        ["ping"] = new(HttpMethod.Get, "vmm.ping"),
        ["info"] = new(HttpMethod.Get, "vm.info"),
        ["counters"] = new(HttpMethod.Get, "vm.counters"),
        ["inspect"] = new(HttpMethod.Get, "vm.inspect", "[ID]")
        {
            Path = static words => words.Length == 0 ? "vm.inspect" : "vm.inspect/" + Uri.EscapeDataString(words[0]),
        },
        ["metrics"] = new(HttpMethod.Get, "/metrics"),
        ["create"] = new(HttpMethod.Put, "vm.create", "FILE|-") { Body = static words => ReadConfig(words[0]) },
        ["delete"] = new(HttpMethod.Put, "vm.delete"),
        ["boot"] = new(HttpMethod.Put, "vm.boot"),
        ["pause"] = new(HttpMethod.Put, "vm.pause"),
        ["resume"] = new(HttpMethod.Put, "vm.resume"),
        ["reboot"] = new(HttpMethod.Put, "vm.reboot"),
        ["shutdown"] = new(HttpMethod.Put, "vm.shutdown"),
        ["power-button"] = new(HttpMethod.Put, "vm.power-button"),
        ["nmi"] = new(HttpMethod.Put, "vm.nmi"),
        ["add-disk"] = new(HttpMethod.Put, "vm.add-disk", "path=FILE,...") { Body = static words => CtlBody.OfDisk(words[0]) },
        ["add-net"] = new(HttpMethod.Put, "vm.add-net", "tap=NAME,...") { Body = static words => CtlBody.OfNet(words[0]) },
        ["add-device"] = new(HttpMethod.Put, "vm.add-device", "path=FOLDER,...") { Body = static words => CtlBody.OfDevice(words[0]) },
        ["remove-device"] = new(HttpMethod.Put, "vm.remove-device", "ID") { Body = static words => CtlBody.OfId(words[0]) },
        ["resize-disk"] = new(HttpMethod.Put, "vm.resize-disk", "ID SIZE") { Body = static words => CtlBody.OfSize(words[0], words[1]) },
        ["shutdown-vmm"] = new(HttpMethod.Put, "vmm.shutdown"),
    };

    private readonly Option<string[]> _socket = new(Socket)
    {
        HelpName = "PATH",
        Description = "The socket of the VMM (needed)",
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = false,
    };

    private readonly Argument<string[]> _words = new("WORD")
    {
        Description = "One of: " + string.Join("; ", Words.Select(static word => $"{word.Key} {word.Value.Form}".TrimEnd())),
        Arity = ArgumentArity.ZeroOrMore,
    };

    /// <summary>The command with its options.</summary>
    public Command Create() => new("ctl", "Asks a running VMM, in the words of ch-remote") { _socket, _words };

    /// <summary>Does what a parsed command line says.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="output">Where answers go.</param>
    /// <exception cref="UsageException">A word is wrong.</exception>
    /// <exception cref="MachineException">Nobody answers, or the answer is a refusal.</exception>
    public void Execute(ParseResult result, TextWriter output)
    {
        string path = result.GetValue(_socket) is [var one]
            ? one
            : throw new UsageException(Socket, null, "is needed, once: the path of the VMM's socket");
        var endpoint = Endpoint.Parse(Socket, path);
        string[] words = result.GetValue(_words) ?? [];
        if (words.Length == 0 || !Words.TryGetValue(words[0], out CtlWord? word))
        {
            throw new UsageException("ctl", words.FirstOrDefault(), $"want one of {string.Join(", ", Words.Keys)}");
        }

        word.Check(words[0], words.Length - 1);
        string socket = endpoint.Path ?? throw new UsageException(Socket, path, "a path is wanted here");
        output.Write(AskAsync(socket, word, words[1..]).GetAwaiter().GetResult());
    }

    private static async Task<string> AskAsync(string socket, CtlWord word, string[] words)
    {
        using var handler = new SocketsHttpHandler { ConnectCallback = (_, cancellation) => ConnectAsync(socket, cancellation) };
        using var client = new HttpClient(handler) { BaseAddress = new Uri("http://localhost/api/v1/"), Timeout = TimeSpan.FromMinutes(5) };
        using var request = new HttpRequestMessage(word.Method, word.Path(words));
        request.Headers.Accept.ParseAdd("text/plain, application/json;q=0.9, */*;q=0.5");
        if (word.Body is { } body)
        {
            request.Content = new ByteArrayContent(body(words));
        }

        try
        {
            using HttpResponseMessage response = await client.SendAsync(request).ConfigureAwait(false);
            string text = await response.Content.ReadAsStringAsync().ConfigureAwait(false);
            if (!response.IsSuccessStatusCode)
            {
                throw new MachineException(MachineException.Whole, null, $"{word.Endpoint}: {(int)response.StatusCode}: {Sentence(text)}");
            }

            return text.Length == 0 || text.EndsWith('\n') ? text : text + "\n";
        }
        catch (HttpRequestException e)
        {
            throw new MachineException("api-socket", socket, (e.InnerException ?? e).Message, e);
        }
        catch (TaskCanceledException e)
        {
            throw new MachineException("api-socket", socket, "no answer within five minutes", e);
        }
    }

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>A refusal is a list of texts, the outermost first.</summary>
    private static string Sentence(string text)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            return json.RootElement.ValueKind == JsonValueKind.Array
                ? string.Join(": ", json.RootElement.EnumerateArray().Select(static part => part.ToString()))
                : text;
        }
        catch (JsonException)
        {
            return text.Length == 0 ? "no reason was given" : text;
        }
    }

    private static byte[] ReadConfig(string path)
    {
        try
        {
            using Stream input = path == "-" ? Console.OpenStandardInput() : File.OpenRead(path);
            using var all = new MemoryStream();
            input.CopyTo(all);
            return all.ToArray();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MachineException("ctl", "create", e.Message, e);
        }
    }
}
