using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>The clique of GPUs that reach each other is only shown where they do.</summary>
[Trait("Behaviour", "VFIO-6")]
[Trait("Behaviour", "VFIO-11")]
public sealed class CliqueTests
{
    private static readonly PassthroughFunctionOptions Clique = new() { GpuDirectClique = 5 };

    [Fact]
    public void A_clique_maps_the_bars_for_the_other_devices()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device, Clique);
        (rig.Read(0xc8, 4) & 0xff).Should().Be(9);

        rig.Enable();

        device.Mapper.Mapped.Keys.Should().Equal(VfioRig.Bar0);
        rig.Function.PeerMappingCount.Should().Be(1);
    }

    [Fact]
    public void A_clique_without_anything_to_map_is_refused()
    {
        FakePciDevice device = VfioRig.Card();
        FluentActions.Invoking(() => PassthroughFunction.Attach(device, Clique with { MapBars = false })).Should().Throw<VfioException>()
            .WithMessage("*x_nv_gpudirect_clique*nothing of its BARs is mapped*");
        device.LiveMappings.Should().Be(0);
        device.IsDisposed.Should().BeFalse("it is the caller's again");
        PassthroughFunction.Attach(device, Clique with { GpuDirectClique = null, MapBars = false }).Dispose();
    }

    [Fact]
    public void A_member_that_cannot_be_mapped_where_it_is_says_so()
    {
        FakePciDevice device = VfioRig.Card();
        var log = new ListLogger();
        using var rig = new VfioRig(device, Clique with { LoggerFactory = log });
        device.Mapper.Refuse = _ => true;

        rig.Enable();

        rig.Function.RefusedPeerMappings.Should().Be(1);
        log.Entries.Should().ContainSingle(entry => entry.Level == Microsoft.Extensions.Logging.LogLevel.Warning && entry.Text.Contains("BAR 0"));
    }
}
