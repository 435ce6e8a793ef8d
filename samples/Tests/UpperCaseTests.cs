using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Samples.Balloon;
using Vmm.Testing.Rigs;
using Vmm.Testing.Rings;
using Vmm.Virtio.Transport;

namespace Samples.Tests;

/// <summary>A device whose requests end later, on another thread.</summary>
public sealed class UpperCaseTests
{
    private static readonly BalloonOptions Options = new() { Id = "upper0" };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Requests_wait_together(bool packed)
    {
        string[] words = ["one", "three", "eleven"];
        using VirtioFunctionRig rig = new VirtioFunctionRig(new UpperCaseDevice(Options, static () => Task.Delay(20)), new VirtioPciOptions { PackedRing = packed }).Start();
        ulong[] rooms = [.. words.Select(word => Add(rig, word))];
        rig.Kick();

        uint[] lengths = [.. words.Select(_ => rig.WaitUsed().Length).Order()];

        Assert.Equal([3u, 5u, 6u], lengths);
        Assert.Equal(["ONE", "THREE", "ELEVEN"], words.Zip(rooms, (word, room) => Encoding.ASCII.GetString(rig.Ram.Read(room, word.Length))));
    }

    [Fact]
    public void A_reset_leaves_a_request_behind_and_its_memory_as_it_is()
    {
        using var begun = new ManualResetEventSlim();
        var gate = new TaskCompletionSource();
        Task Wait()
        {
            begun.Set();
            return gate.Task;
        }

        using VirtioFunctionRig rig = new VirtioFunctionRig(new UpperCaseDevice(Options, Wait)).Start();
        ulong room = Add(rig, "late");
        rig.Kick();
        Assert.True(begun.Wait(Eventually.Patience));

        // It waits StopLimit for the request, then goes on without it.
        rig.Start();
        gate.SetResult();

        Assert.Equal(new byte[4], rig.Ram.Read(room, 4));
        Assert.Equal(0, rig.Function.DeviceFailures);
    }

    private static ulong Add(VirtioFunctionRig rig, string text)
    {
        ulong room = rig.Ram.Allocate((ulong)text.Length);
        rig.Drivers[0].Add(
            [GuestBuffer.Readable(rig.Ram.Place(Encoding.ASCII.GetBytes(text)), (uint)text.Length), GuestBuffer.Writable(room, (uint)text.Length)]);
        return room;
    }
}
