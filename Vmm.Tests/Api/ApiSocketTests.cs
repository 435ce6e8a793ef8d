using System;
using System.IO;
using System.Net.Sockets;
using System.Threading.Tasks;
using Vmm.Api;
using Vmm.Machine.Control;
using Vmm.Machine.Host;

namespace Vmm.Tests.Api;

/// <summary>The socket's file (CTL-3).</summary>
[Trait("Behaviour", "CTL-3")]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class ApiSocketTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-socket");
    private readonly MachineController _controller = new();

    private string Path => System.IO.Path.Combine(_folder.FullName, "s");

    public void Dispose()
    {
        _controller.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task It_is_its_owners_alone_and_goes_with_the_server()
    {
        await using (await StartAsync())
        {
            File.GetUnixFileMode(Path).Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        Directory.GetFileSystemEntries(_folder.FullName).Should().BeEmpty();
    }

    [Fact]
    public async Task One_that_a_dead_process_left_is_replaced()
    {
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            // Moved, since .NET removes the name that it gave it.
            dead.Bind(new UnixDomainSocketEndPoint(Path + "0"));
            dead.Listen();
            File.Move(Path + "0", Path);
        }

        File.Exists(Path).Should().BeTrue();
        await File.WriteAllTextAsync(Path + ".lock", "");
        await using ApiServer server = await StartAsync();
        using var client = new RawClient(Path);
        client.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
    }

    [Fact]
    public async Task One_that_somebody_listens_on_is_left_alone()
    {
        using var living = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        living.Bind(new UnixDomainSocketEndPoint(Path));
        living.Listen();
        await FluentActions.Awaiting(StartAsync).Should().ThrowAsync<MachineException>().WithMessage($"*{Path}*another process*");
        using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        client.Connect(new UnixDomainSocketEndPoint(Path));
    }

    [Fact]
    public async Task Of_two_servers_the_first_keeps_the_path()
    {
        await using ApiServer first = await StartAsync();
        await FluentActions.Awaiting(StartAsync).Should().ThrowAsync<MachineException>().WithMessage("*another process*");
        using var client = new RawClient(Path);
        client.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
    }

    [Fact]
    public async Task A_file_that_is_no_socket_is_not_touched()
    {
        await File.WriteAllTextAsync(Path, "mine");
        await FluentActions.Awaiting(StartAsync).Should().ThrowAsync<MachineException>();
        (await File.ReadAllTextAsync(Path)).Should().Be("mine");
    }

    [Fact]
    public async Task A_socket_that_somebody_else_has_put_there_since_is_not_removed()
    {
        ApiServer server = await StartAsync();
        File.Delete(Path);
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(Path));
        await server.DisposeAsync();
        File.Exists(Path).Should().BeTrue();
    }

    [Fact]
    public async Task A_socket_that_listens_already_is_taken_over()
    {
        var listening = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listening.Bind(new UnixDomainSocketEndPoint(Path));
        listening.Listen();
        int descriptor = (int)listening.SafeHandle.DangerousGetHandle();
        listening.SafeHandle.SetHandleAsInvalid();
        await using ApiServer server = await ApiServer.StartAsync(_controller, new ApiServerOptions { Descriptor = descriptor });
        using var client = new RawClient(Path);
        client.Ask("GET", "/api/v1/vmm.ping").Status.Should().Be(200);
    }

    [Theory]
    [InlineData(987)]
    [InlineData(0)]
    public async Task A_descriptor_that_is_no_listening_socket_is_refused(int descriptor)
    {
        await FluentActions.Awaiting(() => ApiServer.StartAsync(_controller, new ApiServerOptions { Descriptor = descriptor }))
            .Should().ThrowAsync<MachineException>().WithMessage($"*fd={descriptor}*");
    }

    [Fact]
    public async Task A_path_that_is_too_long_for_a_socket_is_named()
    {
        await FluentActions.Awaiting(() => ApiServer.StartAsync(_controller, new ApiServerOptions { Path = "/tmp/" + new string('x', 120) }))
            .Should().ThrowAsync<MachineException>().WithMessage("*103 bytes*");
    }

    private Task<ApiServer> StartAsync() => ApiServer.StartAsync(_controller, new ApiServerOptions { Path = Path });
}
