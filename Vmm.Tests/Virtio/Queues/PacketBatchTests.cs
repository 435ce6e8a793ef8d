using System;
using System.Linq;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Several packets, each of several pieces, in one list.</summary>
public sealed class PacketBatchTests
{
    private readonly byte[] _memory = GC.AllocateArray<byte>(4000, pinned: true);

    [Fact]
    public void Packets_are_made_of_pieces_and_given_up_whole()
    {
        new Random(1).NextBytes(_memory);
        var batch = new PacketBatch(3, 2000);
        Add(batch, (0, 10), (100, 5));
        batch.TryAppendPinned(_memory, 500, 7).Should().BeTrue();
        batch.Abandon();
        Add(batch, (200, 1));
        (batch.Count, batch.Length).Should().Be((2, 16));
        Bytes(batch, 0).Should().Equal([.. _memory[..10], .. _memory[100..105]]);
        Bytes(batch, 1).Should().Equal(_memory[200]);
        Add(batch, (0, 4000));
        batch.Count.Should().Be(3);
        batch.Invoking(static b => b[3].Length).Should().Throw<ArgumentOutOfRangeException>();
        batch.Clear();
        (batch.Count, batch.Length).Should().Be((0, 0));
    }

    [Fact]
    public void A_packet_has_no_more_pieces_than_one_call_takes_and_all_no_more_than_there_is_place_for()
    {
        var batch = new PacketBatch(3, 1500);
        for (int i = 0; i < 1024; i++)
        {
            batch.TryAppendPinned(_memory, i, 1).Should().BeTrue();
        }

        batch.TryAppendPinned(_memory, 0, 1).Should().BeFalse("it has 1,024 pieces");
        batch.TryAppend(batch.Count == 0 ? default : batch[0]).Should().BeTrue("nothing has no pieces");
        batch.Finish();
        batch.TryAppend(batch[0]).Should().BeFalse("476 places are left");
        for (int i = 0; i < 476; i++)
        {
            batch.TryAppendPinned(_memory, i, 1).Should().BeTrue();
        }

        batch.TryAppendPinned(_memory, 0, 1).Should().BeFalse("no place is left");
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("abc", "abc")]
    [InlineData("a-b", "ab")]
    [InlineData("--c", "c")]
    [InlineData("-a-bc-", "abc")]
    [InlineData("----", "")]
    public void Packets_close_up_where_a_room_was_left_empty(string rooms, string packets)
    {
        var batch = new PacketBatch(6, 1024);
        int[] lengths = new int[rooms.Length];
        for (int i = 0; i < rooms.Length; i++)
        {
            // Cut differently, so that what moves goes from pieces into others.
            Add(batch, (i * 40, 3 + i), (1000 + (i * 40), 37 - i));
            if (rooms[i] == '-')
            {
                lengths[i] = i % 2 == 0 ? -11 : 0;
            }
            else
            {
                lengths[i] = 10 + i;
                batch[i].CopyFrom(Content(rooms[i], lengths[i]));
            }
        }

        batch.CloseGaps(lengths).Should().Be(packets.Length);
        for (int i = 0; i < packets.Length; i++)
        {
            int from = rooms.IndexOf(packets[i], StringComparison.Ordinal);
            lengths[i].Should().Be(10 + from);
            Bytes(batch, i).Take(lengths[i]).Should().Equal(Content(packets[i], lengths[i]));
        }
    }

    private static byte[] Content(char name, int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(name + i))];

    private static byte[] Bytes(PacketBatch batch, int index)
    {
        byte[] bytes = new byte[batch[index].Length];
        batch[index].CopyTo(bytes).Should().Be(bytes.Length);
        return bytes;
    }

    private void Add(PacketBatch batch, params (int Start, int Length)[] pieces)
    {
        foreach ((int start, int length) in pieces)
        {
            batch.TryAppendPinned(_memory, start, length).Should().BeTrue();
        }

        batch.Finish();
    }
}
