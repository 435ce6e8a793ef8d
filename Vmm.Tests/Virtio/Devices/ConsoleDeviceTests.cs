using System;
using System.IO;
using System.IO.Pipes;
using System.Linq;
using System.Text;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The console device (virtio 1.2, 5.3).</summary>
public sealed class ConsoleDeviceTests
{
    private const int Input = 0;
    private const int Output = 1;

    [Fact]
    public void Output_goes_to_the_file_in_order()
    {
        using var file = new TemporaryFile();
        var expected = new StringBuilder();
        using (VirtioDeviceRig console = new VirtioDeviceRig(new ConsoleDevice(DescriptorConsoleBackend.CreateFile(file.Path))).Start())
        {
            for (int i = 0; i < 300; i++)
            {
                byte[] text = Encoding.ASCII.GetBytes($"line {i} {new string('x', i * 3)}\n");
                expected.Append(Encoding.ASCII.GetString(text));
                ulong place = console.Ram.Place(text);
                console.Drivers[Output].Add(Readable(place, 3), Readable(place + 3, (uint)text.Length - 3));
                console.Kick(Output);
                console.WaitUsed(Output).Length.Should().Be(0);
            }

            console.Drivers[Input].Add(Writable(console.Ram.Allocate(16), 16));
            console.Kick(Input);
            console.Vectors[Input].Count.Should().Be(0);
        }

        Encoding.ASCII.GetString(file.Content).Should().Be(expected.ToString());
    }

    [Fact]
    public void Input_comes_when_there_is_room_and_stays_in_the_pipe_while_there_is_none()
    {
        using var input = new AnonymousPipeServerStream(PipeDirection.Out);
        using var file = new FileStream("/dev/null", FileMode.Open, FileAccess.Write);
        var backend = new DescriptorConsoleBackend(
            (int)input.ClientSafePipeHandle.DangerousGetHandle(), (int)file.SafeFileHandle.DangerousGetHandle());
        using VirtioDeviceRig console = new VirtioDeviceRig(new ConsoleDevice(backend)).Start();
        byte[] sent = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 11))];
        input.Write(sent);
        input.Flush();
        console.Vectors[Input].Wait(30).Should().BeFalse("there is no room yet");
        byte[] received = new byte[sent.Length];
        int count = 0;
        ulong place = console.Ram.Allocate(64);
        while (count < sent.Length)
        {
            console.Drivers[Input].Add(Writable(place, 64));
            console.Kick(Input);
            (_, uint length) = console.WaitUsed(Input);
            length.Should().BeInRange(1, 64);
            console.Ram.Read(place, (int)length).CopyTo(received, count);
            count += (int)length;
        }

        received.Should().Equal(sent);

        // The end of the input is quiet: the buffer that waits stays where it is.
        console.Drivers[Input].Add(Writable(place, 64));
        console.Kick(Input);
        input.Dispose();
        console.Device.StopQueue(Input);
        console.Drivers[Input].TryTakeUsed(out _, out _).Should().BeFalse();
        console.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void Input_from_a_plain_file_works_too()
    {
        byte[] content = [.. Enumerable.Range(0, 3000).Select(i => (byte)i)];
        using var file = new TemporaryFile(content);
        using FileStream stream = File.OpenRead(file.Path);
        using VirtioDeviceRig console = new VirtioDeviceRig(new ConsoleDevice(
            new DescriptorConsoleBackend((int)stream.SafeFileHandle.DangerousGetHandle(), -1))).Start();
        ulong place = console.Ram.Allocate(4096);
        int count = 0;
        while (count < content.Length)
        {
            console.Drivers[Input].Add(Writable(place, 4096));
            console.Kick(Input);
            (_, uint length) = console.WaitUsed(Input);
            console.Ram.Read(place, (int)length).Should().Equal(content[count..(count + (int)length)]);
            count += (int)length;
        }
    }

    [Fact]
    public void Output_that_nobody_takes_is_dropped_and_does_not_hold_up_a_stop()
    {
        using var output = new AnonymousPipeServerStream(PipeDirection.In);
        var backend = new DescriptorConsoleBackend(-1, (int)output.ClientSafePipeHandle.DangerousGetHandle());
        var device = new ConsoleDevice(backend);
        using VirtioDeviceRig console = new VirtioDeviceRig(device).Start();
        ulong place = console.Ram.Place(new byte[1 << 18]);
        console.Drivers[Output].Add(Readable(place, 1 << 18));
        console.Kick(Output);
        console.WaitUsed(Output);
        device.DroppedBytes.Should().BePositive();
        console.Device.StopQueue(Output);
    }

    [Fact]
    [Trait("Behaviour", "VTP-10")]
    public void The_size_is_offered_when_given_and_changes_are_told()
    {
        using var file = new TemporaryFile();
        using var console = new VirtioDeviceRig(new ConsoleDevice(
            DescriptorConsoleBackend.CreateFile(file.Path), new ConsoleDeviceOptions { Columns = 80, Rows = 25 }));
        (console.Features & 1).Should().Be(1);
        console.Device.ReadConfiguration(0, 2).Should().Be(80);
        console.Device.ReadConfiguration(2, 2).Should().Be(25);
        var device = (ConsoleDevice)console.Device;
        device.Resize(100, 30);
        console.ConfigurationChanges.Should().Be(0, "nobody listens before DRIVER_OK");
        console.Start();
        device.Resize(132, 43);
        console.ConfigurationChanges.Should().Be(1);
        console.Device.ReadConfiguration(0, 4).Should().Be(132 | (43 << 16));

        using var unsized = new ConsoleDevice(new DescriptorConsoleBackend(-1, -1));
        (unsized.OfferedFeatures & 1).Should().Be(0);
        unsized.Invoking(c => c.Resize(1, 1)).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_file_that_cannot_be_made_is_refused()
    {
        Action make = () => DescriptorConsoleBackend.CreateFile("/nowhere/console.log");
        make.Should().Throw<BackendException>().WithMessage("/nowhere/console.log*errno 2*");
    }
}
