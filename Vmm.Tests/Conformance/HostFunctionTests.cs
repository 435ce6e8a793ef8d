using Vmm.Tests.Cli;

namespace Vmm.Tests.Conformance;

/// <summary><c>vmm conformance --device</c>, as far as no device is needed.</summary>
public sealed class HostFunctionTests
{
    [Theory]
    [InlineData("scratch=on", "needs the word path=")]
    [InlineData("path=/sys/x,scratch=maybe", "neither on nor off")]
    [InlineData("path=/sys/x,model=blk", "unknown word 'model'")]
    public void A_wrong_value_is_a_wrong_command_line(string value, string complaint)
    {
        VmmResult result = VmmProcess.Run("conformance", "--device", value);
        result.Status.Should().Be(2);
        result.Error.Should().Contain("--device").And.Contain(complaint);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-1")]
    public void A_device_that_cannot_be_had_is_one_line_with_what_helps()
    {
        VmmResult result = VmmProcess.Run("conformance", "--device", "path=/sys/bus/pci/devices/ffff:ff:1f.7");
        result.Status.Should().Be(1);
        result.Error.Should().StartWith("vmm: --device /sys/bus/pci/devices/ffff:ff:1f.7: looking the device up: there is no such device; lspci -D");
        result.Error.TrimEnd().Should().NotContain("\n");
        result.Output.Should().BeEmpty();
    }

    [Fact]
    public void Without_any_device_there_is_nothing_to_check()
    {
        VmmResult result = VmmProcess.Run("conformance");
        result.Status.Should().Be(2);
        result.Error.Should().Contain("--model").And.Contain("--device");
    }
}
