using System;
using System.Linq;
using Vmm.Conformance;
using Xunit.Abstractions;

namespace Vmm.Tests.Conformance;

/// <summary>
/// The suite on devices that are not ours: QEMU's. What it finds there is listed by name, so that a check that asks too much is seen.
/// </summary>
[Trait("Category", "Long")]
public sealed class QemuTests(ITestOutputHelper output)
{
    // QEMU 7.2 against the letter: queue_size shows what is no power of two (virtio 1.2, 4.1.4.3.1); FEATURES_OK passes with features that were
    // not offered, which driver_feature shows (2.2.2); an address set by the control queue leaves config_generation alone (4.1.4.3.1); BARs
    // answer in D3hot (PCI Power Management 1.2, 5.4); an indirect table is taken only where it is the whole chain (2.7.5.3.2).
    private static readonly string[] _known =
        ["VTP-COMMON-SIZE-REFUSE", "VTP-FEATURE-UNOFFERED", "VTP-CONFIG-GENERATION", "PCI-POWER-OFF", "RING-INDIRECT-AFTER"];

    [QemuTheory]
    [InlineData("virtio-rng-pci")]
    [InlineData("virtio-blk-pci,drive=d", "-drive", "if=none,id=d,driver=null-co,size=1M,read-zeroes=on")]
    [InlineData("virtio-net-pci,netdev=n", "-netdev", "user,id=n,restrict=on")]
    public void The_suite_says_of_QEMU_what_is_so(string device, params string[] more)
    {
        using var function = new QemuFunction(["-device", "pcie-root-port,id=rp,addr=2", "-device", $"{device},disable-legacy=on,bus=rp", .. more]);
        var target = new ConformanceTarget
        {
            Name = device,
            Access = function,
            Reach = TargetReach.All,
        };

        ConformanceReport report = ConformanceRun.Execute(target, limits: new RunLimits { Reply = TimeSpan.FromSeconds(3) });

        foreach (CheckResult result in report.Results.Where(r => r.Verdict != CheckVerdict.Pass))
        {
            output.WriteLine($"{result.Verdict} {result.Check.Id}: {result.Expected ?? result.Reason} / {result.Seen}");
        }

        report.Results.Where(r => r.Verdict == CheckVerdict.Fail).Select(r => r.Check.Id).Should().BeSubsetOf(_known);
        report.Results.Count(r => r.Verdict == CheckVerdict.Pass).Should().BeGreaterThan(180);
    }
}
