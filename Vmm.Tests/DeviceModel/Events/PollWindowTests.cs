using System;
using System.Diagnostics;
using Vmm.DeviceModel.Events;

namespace Vmm.Tests.DeviceModel.Events;

/// <summary>How long a worker looks for work, told by how long it slept.</summary>
public sealed class PollWindowTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMicroseconds(40);

    [Fact]
    public void Nothing_is_polled_before_a_sleep_was_short()
    {
        new PollWindow(Limit).Length.Should().Be(0);
    }

    [Fact]
    public void Short_sleeps_double_the_window_up_to_the_limit()
    {
        var window = new PollWindow(Limit);
        long[] lengths = new long[5];
        for (int i = 0; i < lengths.Length; i++)
        {
            window.AddIdle(Ticks(10));
            lengths[i] = window.Length;
        }

        lengths.Should().Equal(Ticks(10), Ticks(20), Ticks(40), Ticks(40), Ticks(40));
    }

    [Fact]
    public void A_long_sleep_ends_polling_at_once()
    {
        var window = new PollWindow(Limit);
        window.AddIdle(Ticks(1));
        window.AddIdle(Ticks(41));
        window.Length.Should().Be(0);
    }

    [Fact]
    public void Without_a_limit_nothing_is_ever_polled()
    {
        var window = new PollWindow(TimeSpan.Zero);
        window.AddIdle(0);
        window.IsPossible.Should().BeFalse();
        window.Length.Should().Be(0);
    }

    private static long Ticks(int microseconds) => microseconds * Stopwatch.Frequency / 1_000_000;
}
