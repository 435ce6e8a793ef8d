using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Tests.Vfio.Kernel;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>Functions of one bus that only a reset of the bus reaches: none is reset under the guest that uses another.</summary>
[Trait("Behaviour", "VFIO-10")]
public sealed class SiblingResetTests : IDisposable
{
    private readonly FakeVfioKernel _kernel = new();
    private readonly VfioHost _host;
    private readonly PciRig _rig = new();
    private readonly List<PassthroughFunction> _functions = [];
    private readonly ListLogger _log = new();

    public SiblingResetTests()
    {
        _host = new VfioHost(_kernel);
        for (int number = 0; number < 2; number++)
        {
            FakeVfioDevice fake = _kernel.AddController($"0000:01:00.{number}");
            fake.CanReset = false;
            fake.Dependents = [(5, 1, 0), (5, 1, 1)];
            VfioRig.Card(vectors: 65).Configuration.CopyTo(fake.Configuration.Bytes);
            fake.Configuration.Bytes[0x44] = 0;
        }
    }

    private int HotResets => _kernel.Devices.Sum(device => device.HotResets);

    public void Dispose()
    {
        foreach (PassthroughFunction function in _functions)
        {
            Remove(function);
        }

        _kernel.ShouldHoldNothing();
    }

    [Fact]
    public void The_second_function_that_comes_does_not_reset_the_first()
    {
        Add(0);
        HotResets.Should().Be(1, "nobody uses the bus yet");

        Add(1);

        HotResets.Should().Be(1);
        _log.Entries.Should().ContainSingle(
            entry => entry.Text.Contains("0000:01:00.0", StringComparison.Ordinal) && entry.Text.Contains("in use", StringComparison.Ordinal));
    }

    [Fact]
    public void Neither_power_states_nor_resets_that_the_guest_asks_for_reach_the_other()
    {
        Add(0);
        PassthroughFunction second = Add(1);
        int before = HotResets;

        _rig.Write(0x44, 2, 3, device: 6);
        _rig.Write(0x44, 2, 0, device: 6);

        HotResets.Should().Be(before);
        second.FailedResets.Should().Be(1, "and it is reported");
        _rig.Write(0x88, 2, 0x8000, device: 6);
        HotResets.Should().Be(before);
    }

    [Fact]
    public void Who_is_taken_away_leaves_the_other_alone_and_the_last_resets_the_bus()
    {
        PassthroughFunction first = Add(0);
        PassthroughFunction second = Add(1);
        int before = HotResets;

        Remove(second);
        HotResets.Should().Be(before, "0000:01:00.0 is in use");

        Remove(first);
        HotResets.Should().Be(before + 1);
    }

    [Fact]
    public void A_function_alone_in_use_resets_the_bus_that_is_its_own()
    {
        PassthroughFunction only = Add(0);
        int before = HotResets;

        _rig.Write(0x44, 2, 3, device: 5);
        _rig.Write(0x44, 2, 0, device: 5);

        HotResets.Should().Be(before + 1);
        only.FailedResets.Should().Be(0);
    }

    private PassthroughFunction Add(int number)
    {
        var function = PassthroughFunction.Attach(
            _host.Attach(_kernel.Devices[number].Path), new PassthroughFunctionOptions { LoggerFactory = _log });
        _functions.Add(function);
        _rig.Add(function, 5 + number);
        return function;
    }

    private void Remove(PassthroughFunction function)
    {
        if (function.Bus is { } bus)
        {
            bus.Remove(function);
            function.Dispose();
        }
    }
}
