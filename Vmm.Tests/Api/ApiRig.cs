using System;
using System.Collections.Concurrent;
using System.IO;
using System.Threading.Tasks;
using Vmm.Api;
using Vmm.Machine;
using Vmm.Machine.Control;
using Vmm.Machine.Events;

namespace Vmm.Tests.Api;

/// <summary>A controller in its own thread with an API server on a socket in a folder of its own.</summary>
internal sealed class ApiRig : IAsyncDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-api");
    private readonly Task<MachineExit> _run;

    private ApiRig(Func<ControllerOptions, ControllerOptions> change)
    {
        Controller = new MachineController(change(new ControllerOptions { OnEvent = Events.Enqueue }));
        _run = Task.Factory.StartNew(Controller.Run, TaskCreationOptions.LongRunning);
    }

    public MachineController Controller { get; }

    public ConcurrentQueue<MachineEvent> Events { get; } = new();

    public ApiServer Server { get; private set; } = null!;

    public string Socket => FileOf("api.sock");

    /// <summary>Completes when the controller has ended.</summary>
    public Task<MachineExit> Ended => _run;

    public static async Task<ApiRig> StartAsync(
        Func<ControllerOptions, ControllerOptions>? controller = null, Func<ApiServerOptions, ApiServerOptions>? server = null, byte[]? kernel = null)
    {
        var rig = new ApiRig(controller ?? (static options => options));
        if (kernel is not null)
        {
            rig.Write("kernel", kernel);
        }

        var options = new ApiServerOptions { Path = rig.Socket, Version = "v53.0.0", BuildVersion = "test" };
        rig.Server = await ApiServer.StartAsync(rig.Controller, server?.Invoke(options) ?? options);
        return rig;
    }

    /// <summary>The path of a file in the rig's folder.</summary>
    public string FileOf(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>Writes a file into the rig's folder.</summary>
    public string Write(string name, byte[] bytes)
    {
        string path = FileOf(name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    public RawClient Connect() => new(Socket);

    /// <summary>Asks on a connection of its own.</summary>
    public RawAnswer Ask(string method, string path, string? body = null)
    {
        using RawClient client = Connect();
        return client.Ask(method, path, body);
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        Controller.RequestEnd();
        await _run.WaitAsync(TimeSpan.FromSeconds(60));
        Controller.Dispose();
        _folder.Delete(recursive: true);
    }
}
