using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Api;

/// <summary>Where an <see cref="ApiServer"/> listens, and who it says it is.</summary>
public sealed record ApiServerOptions
{
    /// <summary>The file of the socket, made with mode 0600; null with <see cref="Descriptor"/>.</summary>
    public string? Path { get; init; }

    /// <summary>The number of a socket that listens already, the server's from now on; null with <see cref="Path"/>.</summary>
    public int? Descriptor { get; init; }

    /// <summary>The version that vmm.ping answers.</summary>
    public string Version { get; init; } = "0";

    /// <summary>The same with what it was built from.</summary>
    public string BuildVersion { get; init; } = "0";

    /// <summary>How long a removal is waited for before it is answered that the guest has not let go yet.</summary>
    public TimeSpan RemovalLimit { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Where the server logs; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
