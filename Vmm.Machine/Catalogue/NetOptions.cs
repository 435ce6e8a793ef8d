using System.Net;
using System.Text.Json.Serialization;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Limits;

namespace Vmm.Machine.Catalogue;

/// <summary>One virtio network device on a tap interface.</summary>
/// <param name="Tap">Name of the interface, 1 to 15 bytes; made if it is absent, and removed then with the machine.</param>
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
    /// <summary>What the guest may receive, and as much send, in a time; null for no limit.</summary>
    public RateLimiterOptions? RateLimiterConfig { get; init; }
}
