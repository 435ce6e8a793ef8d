using System;
using System.IO;
using System.Linq;
using System.Text.Json;

namespace Vmm.Tests.Nested;

/// <summary>
/// The conformance suite on QEMU's virtio devices, through the kernel's VFIO: where they fall short is written down, and only that.
/// </summary>
[Trait("Category", "Nested")]
public sealed class VfioConformanceTests(VfioConformanceTests.Runs runs) : IClassFixture<VfioConformanceTests.Runs>
{
    private const string Heading = "## QEMU's devices, through VFIO";

    [NestedTheory]
    [InlineData("0000:00:10.0", "block")]
    [InlineData("0000:00:11.0", "net")]
    [InlineData("0000:00:12.0", "entropy")]
    [InlineData("0000:00:13.0", "console")]
    [Trait("Behaviour", "DRV-1")]
    public void Every_check_runs_and_every_difference_is_documented(string address, string device)
    {
        JsonElement target = runs.Report.RootElement.GetProperty("targets").EnumerateArray()
            .Single(t => t.GetProperty("target").GetString() == address);
        JsonElement[] checks = [.. target.GetProperty("checks").EnumerateArray()];

        checks.Where(check => Text(check, "reason").Contains("did not come back")).Should().BeEmpty("the device has to come back after each check");
        checks.Count(check => Text(check, "verdict") == "pass").Should().BeGreaterThan(150, "{0}", device);
        string[] documented = Documented();
        documented.Should().NotBeEmpty();
        checks.Where(check => Text(check, "verdict") is "fail" or "advice" && !documented.Contains(Text(check, "id")))
            .Select(check => $"{Text(check, "id")}: expected {Text(check, "expected")}, seen {Text(check, "seen")}")
            .Should().BeEmpty("docs/conformance.md has no line for it ({0})", device);
    }

    private static string Text(JsonElement check, string property) =>
        check.TryGetProperty(property, out JsonElement value) ? value.GetString() ?? "" : "";

    private static string[] Documented()
    {
        return [.. File.ReadLines(Repository.PathOf("docs/conformance.md")).SkipWhile(line => line != Heading).Skip(1)
            .TakeWhile(line => !line.StartsWith("## "))
            .Where(line => line.StartsWith("| `")).Select(line => line.Split('`')[1])];
    }

    public sealed class Runs
    {
        private readonly Lazy<JsonDocument> _report = new(Execute);

        public JsonDocument Report => _report.Value;

        private static JsonDocument Execute()
        {
            DirectoryInfo share = Directory.CreateTempSubdirectory("vmmdevices-nested.");
            try
            {
                string disk = Path.Combine(share.FullName, "disk");
                string report = Path.Combine(share.FullName, "report.json");
                File.WriteAllBytes(disk, new byte[2 << 20]);
                const string Modern = ",iommu_platform=on,disable-legacy=on";
                string[] devices =
                [
                    $"virtio-blk-pci,drive=disk{Modern}", $"virtio-net-pci,netdev=net{Modern}", $"virtio-rng-pci{Modern}",
                    $"virtio-serial-pci,id=serial{Modern}",
                ];
                string[] words =
                [
                    "-drive", $"if=none,id=disk,format=raw,file={disk}", "-netdev", "user,id=net,restrict=on",
                    "-chardev", "null,id=null", "-device", "virtconsole,chardev=null,bus=serial.0",
                ];
                string command = $$"""
                    words=; for address in $LAB_VFIO; do words="$words --device path=/sys/bus/pci/devices/$address,scratch=on"; done
                    timeout 400 {{LabSession.Vmm}} conformance $words --json {{report}}; [ $? -le 1 ]
                    """;
                (int status, string output) = LabSession.RunLab(
                    500,
                    [
                        "--out", share.FullName, .. devices.SelectMany(device => new[] { "--vfio", device }),
                        .. words.SelectMany(word => new[] { "--qemu", word }), "--", "bash", "-c", command,
                    ]);
                status.Should().Be(0, "the suite has to run: {0}", output);
                return JsonDocument.Parse(File.ReadAllText(report));
            }
            finally
            {
                share.Delete(recursive: true);
            }
        }
    }
}
