using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Memory;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Devices;
using Vmm.Pci;

namespace Vmm.Tests.Machine;

/// <summary>Output of a serial port and a console to a stream of the embedder's.</summary>
public sealed class StreamOutputTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public void What_the_guest_sends_by_the_serial_port_is_in_the_stream_in_order_and_the_stream_stays_open()
    {
        string text = string.Concat(Enumerable.Range(0, 20_000).Select(i => $"{i} "));
        using var stream = new MemoryStream();
        MachineOptions options = MachineRig.Options with { Serial = CharacterOptions.To(stream) };
        using (var console = SerialConsole.Create(options, new FakeLine(), NullLogger.Instance))
        {
            foreach (char letter in text)
            {
                SpinWait.SpinUntil(() => (console.Port.Registers.Read(5, 1) & 0x20) != 0, Patience).Should().BeTrue("the transmitter takes the next");
                console.Port.Registers.Write(0, 1, letter);
            }
        }

        Encoding.ASCII.GetString(stream.ToArray()).Should().Be(text);
        stream.CanWrite.Should().BeTrue("it is the embedder's");
    }

    [Fact]
    public void A_stream_that_fails_takes_the_output_and_not_the_guest()
    {
        using var stream = new MemoryStream(new byte[4]);
        MachineOptions options = MachineRig.Options with { Serial = CharacterOptions.To(stream) };
        using var console = SerialConsole.Create(options, new FakeLine(), NullLogger.Instance);
        for (int i = 0; i < 100_000; i++)
        {
            SpinWait.SpinUntil(() => (console.Port.Registers.Read(5, 1) & 0x20) != 0, Patience).Should().BeTrue();
            console.Port.Registers.Write(0, 1, 'x');
        }
    }

    [Fact]
    public void A_console_is_on_a_stream_as_well()
    {
        using var stream = new MemoryStream();
        using (var backend = new StreamConsoleBackend(stream))
        {
            backend.Write("said"u8).Should().Be(4);
            (backend.InputDescriptor, backend.OutputDescriptor).Should().Be((-1, -1));
        }

        stream.ToArray().Should().Equal("said"u8.ToArray());
        using PciFunction function = new ConsoleKind().Create(
            new ConsoleOptions(CharacterOptions.To(stream)), new DeviceContext("console", new GuestMemory()));
        function.Name.Should().Be("console");
    }

    [Fact]
    public void A_stream_that_is_not_there_is_named()
    {
        FluentActions.Invoking(() => SerialConsole.Create(
            MachineRig.Options with { Serial = new CharacterOptions(CharacterKind.Stream) }, new FakeLine(), NullLogger.Instance))
            .Should().Throw<ArgumentException>().WithMessage("*CharacterOptions.Output*");
    }
}
