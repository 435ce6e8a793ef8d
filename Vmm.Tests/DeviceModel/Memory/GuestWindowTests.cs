using System;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

public sealed class GuestWindowTests : IDisposable
{
    private readonly HostMemory _host = HostMemory.AllocateAnonymous(0x1000);
    private readonly GuestMemory _memory = new();

    public GuestWindowTests() => _memory.Add(0, _host, 0, 0x1000);

    public void Dispose() => _host.Dispose();

    [Fact]
    [Trait("Behaviour", "MEM-3")]
    public void A_structure_read_once_is_a_copy_that_the_guest_cannot_change()
    {
        GuestWindow window = Window(32);
        window.Write(3, new Descriptor { Address = 0x1000, Length = 16 });
        Descriptor copy = window.ReadOnce<Descriptor>(3);
        window.Span.Fill(0xFF);
        copy.Address.Should().Be(0x1000);
        copy.Length.Should().Be(16);
    }

    [Fact]
    public void Indexes_are_loaded_and_stored()
    {
        GuestWindow window = Window(4);
        window.StoreReleaseUInt16(2, 0xBEEF);
        window.LoadAcquireUInt16(2).Should().Be(0xBEEF);
        window.Span.ToArray().Should().Equal(0, 0, 0xEF, 0xBE);
    }

    [Fact]
    public void Bytes_are_copied_both_ways()
    {
        GuestWindow window = Window(8);
        window.CopyFrom([1, 2, 3]);
        byte[] back = new byte[4];
        window.CopyTo(back);
        back.Should().Equal(1, 2, 3, 0);
        window.Slice(1, 2).Span.ToArray().Should().Equal(2, 3);
        window.Slice(8, 0).Length.Should().Be(0);
    }

    [Theory]
    [Trait("Behaviour", "MEM-1")]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData(5)]
    [InlineData(8)]
    [InlineData(int.MaxValue)]
    public void Nothing_outside_the_window_is_reachable(int offset)
    {
        Refuses(() => Window(8).ReadOnce<uint>(offset));
        Refuses(() => Window(8).Write(offset, 0u));
        Refuses(() => Window(8).Slice(offset, 4));
        Refuses(() => Window(4).LoadAcquireUInt16(offset));
        Refuses(() => Window(4).StoreReleaseUInt16(offset, 1));
        Refuses(() => Window(8).Slice(0, -1));
        Refuses(() => Window(8).CopyTo(new byte[9]));
        Refuses(() => Window(8).CopyFrom(new byte[9]));
    }

    private static void Refuses(Action action) => action.Should().Throw<ArgumentOutOfRangeException>();

    private GuestWindow Window(int length)
    {
        _memory.Current.TryGetWindow(0, length, out GuestWindow window).Should().BeTrue();
        return window;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Descriptor
    {
        public ulong Address;
        public uint Length;
    }
}
