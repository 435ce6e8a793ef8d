using System;
using System.IO.Pipes;
using System.Linq;
using System.Threading;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Events;
using Vmm.Machine.Devices;

namespace Vmm.Tests.Machine;

/// <summary>The serial port's ends on real descriptors: nothing lost, nobody made to wait.</summary>
public sealed class DescriptorSinkTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Worker _worker = new("serial-test");
    private readonly FakeLine _line = new();

    public void Dispose() => _worker.Dispose();

    [Fact]
    public void Everything_written_goes_out_in_order()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        using var sink = new DescriptorSink(_worker, (int)pipe.ClientSafePipeHandle.DangerousGetHandle());
        _worker.Start();
        byte[] expected = [.. Enumerable.Range(0, 200_000).Select(i => (byte)(i * 31))];
        byte[] received = new byte[expected.Length];
        var reader = new Thread(() => pipe.ReadExactly(received));
        reader.Start();
        foreach (byte value in expected)
        {
            SpinWait.SpinUntil(() => sink.HasRoom, Patience).Should().BeTrue();
            sink.Write(value);
        }

        sink.Flush(Patience).Should().BeTrue();
        reader.Join(Patience).Should().BeTrue();
        received.Should().Equal(expected);
    }

    [Fact]
    public void A_reader_that_does_not_read_takes_the_room_but_can_be_abandoned()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        using var sink = new DescriptorSink(_worker, (int)pipe.ClientSafePipeHandle.DangerousGetHandle());
        _worker.Start();
        for (int i = 0; i < 1_000_000 && sink.HasRoom; i++)
        {
            sink.Write((byte)i);
        }

        // The worker moves what the pipe takes; after that nothing moves any more.
        int quiet = 0;
        while (quiet < 20)
        {
            quiet = Fill(sink) ? 0 : quiet + 1;
            Thread.Sleep(10);
        }

        sink.Flush(TimeSpan.FromMilliseconds(10)).Should().BeFalse();
        sink.Pending.Should().BePositive();
        sink.Abandon();
        _worker.Stop();
    }

    [Fact]
    public void A_reader_that_is_gone_makes_nobody_wait()
    {
        var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        using SafePipeHandle client = pipe.ClientSafePipeHandle;
        using var sink = new DescriptorSink(_worker, (int)client.DangerousGetHandle());
        int drained = 0;
        sink.Drained += () => Interlocked.Increment(ref drained);
        _worker.Start();
        pipe.Dispose();
        for (int i = 0; i < 1000; i++)
        {
            sink.Write((byte)i);
        }

        sink.Flush(Patience).Should().BeTrue();
        SpinWait.SpinUntil(() => Volatile.Read(ref drained) > 0, Patience).Should().BeTrue("the writer is told, after it is empty");
    }

    [Fact]
    public void Input_waits_for_room_in_the_receiver_and_none_is_lost()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        var port = new SerialPort(_line, new NullSink());
        port.Registers.Write(2, 1, 1);
        using var source = new DescriptorSource(_worker, (int)pipe.ClientSafePipeHandle.DangerousGetHandle(), port, null);
        _worker.Start();
        byte[] expected = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 17))];
        pipe.Write(expected);
        foreach (byte value in expected)
        {
            SpinWait.SpinUntil(() => (port.Registers.Read(5, 1) & 1) != 0, Patience).Should().BeTrue();
            port.Registers.Read(0, 1).Should().Be(value);
        }

        _worker.Stop();
    }

    [Theory]
    [InlineData("abc", "abc", 0)]
    [InlineData("a\u0001xb", "ab", 1)]
    [InlineData("a\u0001\u0001b", "a\u0001b", 0)]
    [InlineData("a\u0001qb", "ab", 0)]
    [InlineData("\u0001x\u0001x", "", 2)]
    public void Escapes_are_taken_out(string typed, string kept, int escapes)
    {
        int count = 0;
        var filter = new EscapeFilter(() => count++);
        byte[] bytes = [.. typed.Select(c => (byte)c)];
        int length = filter.Apply(bytes);
        new string([.. bytes[..length].Select(b => (char)b)]).Should().Be(kept);
        count.Should().Be(escapes);
    }

    [Fact]
    public void An_escape_may_come_in_two_pieces()
    {
        int count = 0;
        var filter = new EscapeFilter(() => count++);
        filter.Apply([1]).Should().Be(0);
        filter.Apply([(byte)'x']).Should().Be(0);
        count.Should().Be(1);
    }

    private static bool Fill(DescriptorSink sink)
    {
        bool wrote = false;
        while (sink.HasRoom)
        {
            sink.Write(0);
            wrote = true;
        }

        return wrote;
    }
}
