using System;
using System.Collections.Generic;
using System.Net;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Limits;

namespace Vmm.Machine.Catalogue;

/// <summary>One virtio network device on a tap interface.</summary>
/// <param name="Tap">
/// Name of the interface, 1 to 15 bytes; made if it is absent, and removed then with the machine. Empty with <see cref="Descriptors"/>.
/// </param>
/// <param name="MacAddress">The guest's address; by default a locally administered one made from the name of the tap.</param>
/// <param name="HostAddress">IPv4 address to give to the host's side, or null.</param>
/// <param name="HostMask">Network mask of <paramref name="HostAddress"/>; given exactly when that is.</param>
/// <param name="Pairs">
/// Pairs of a receive and a transmit queue, 1 to 256. A tap that was made before has to have several queues just if this is above 1.
/// </param>
public sealed record NetOptions(
    string Tap,
    [property: JsonConverter(typeof(MacAddressConverter))] MacAddress? MacAddress = null,
    [property: JsonConverter(typeof(IPAddressConverter))] IPAddress? HostAddress = null,
    [property: JsonConverter(typeof(IPAddressConverter))] IPAddress? HostMask = null,
    int Pairs = 1) : VirtioOptions
{
    /// <summary>The bytes and packets that the guest may receive, and as many again that it may send, in a time; null for no limit.</summary>
    public RateLimiterOptions? RateLimiterConfig { get; init; }

    /// <summary>
    /// A tap that somebody has opened and set up already: a descriptor for each pair of queues, whose number <see cref="Pairs"/> is then. They stay
    /// the embedder's, and open for as long as machines are made from these options: each takes duplicates. What they stand for does not block any
    /// more. They have no JSON form.
    /// </summary>
    [JsonConverter(typeof(NoJsonConverter<IReadOnlyList<SafeFileHandle>>))]
    public IReadOnlyList<SafeFileHandle>? Descriptors { get; init; }

    /// <summary>A card on a tap that is open.</summary>
    /// <param name="descriptors">See <see cref="Descriptors"/>.</param>
    public static NetOptions On(params IReadOnlyList<SafeFileHandle> descriptors)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        return new NetOptions("", Pairs: descriptors.Count) { Descriptors = descriptors };
    }
}
