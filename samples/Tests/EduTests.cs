using System;
using System.Text;
using System.Threading;
using Samples.Edu;
using Vmm.Conformance;
using Vmm.DeviceModel.State;
using Vmm.Testing.Rigs;
using Vmm.Testing.Seams;

namespace Samples.Tests;

/// <summary>The device to learn on, from its driver's side: what docs/specs/edu.rst of QEMU says.</summary>
public sealed class EduTests : IDisposable
{
    private readonly PciFunctionRig _rig = new(static dma => new EduFunction("edu", dma));

    public void Dispose() => _rig.Dispose();

    [Fact]
    public void The_identification_and_the_liveness_check_read_as_specified()
    {
        Assert.Equal(0x0100_00edu, Read(0x00));
        Write(0x04, 0x1234_5678);
        Assert.Equal(~0x1234_5678u, Read(0x04));
    }

    [Fact]
    public void A_register_takes_its_own_width_and_what_is_none_reads_all_ones()
    {
        Assert.Equal(0xffu, _rig.Access.ReadBar(0, 0x00, 1));
        Assert.Equal(uint.MaxValue, Read(0x0c));
        Assert.Equal(uint.MaxValue, Read(0x1000));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(5, 120)]
    [InlineData(12, 479_001_600)]
    [InlineData(34, 0)]
    [InlineData(uint.MaxValue, 0)]
    public void A_factorial_is_computed_and_raised(uint operand, uint result)
    {
        CountingVector pin = _rig.Access.EnablePin();
        Write(0x20, 0x80);
        Write(0x08, operand);

        Assert.True(pin.Wait(Eventually.Patience));
        Assert.Equal((result, 0x80u, 1u), (Read(0x08), Read(0x20), Read(0x24)));
        Write(0x64, 1);
        Assert.Equal(0u, Read(0x24));
        Assert.False(_rig.Function.Intx.IsAsserted);
    }

    [Fact]
    public void Without_the_wish_for_it_nothing_is_raised()
    {
        Write(0x08, 4);
        WaitUntil(() => Read(0x20) == 0);
        Assert.Equal((24u, 0u), (Read(0x08), Read(0x24)));
    }

    [Fact]
    public void The_pin_is_up_as_long_as_a_reason_is_not_acknowledged()
    {
        Write(0x60, 0x30);
        Write(0x64, 0x10);
        Assert.True(_rig.Function.Intx.IsAsserted);
        Assert.Equal(0x20u, Read(0x24));
        Write(0x64, 0x20);
        Assert.False(_rig.Function.Intx.IsAsserted);
    }

    [Fact]
    public void With_MSI_enabled_a_message_is_sent_and_the_wire_is_silent()
    {
        CountingVector message = _rig.Access.EnableMsi(1)[0];
        _rig.SetBusMaster(true);
        Write(0x60, 1);
        Assert.True(message.Wait(Eventually.Patience));
        Assert.False(_rig.Function.Intx.IsDriven);
    }

    [Fact]
    public void Bytes_go_into_the_device_and_come_back_by_DMA()
    {
        CountingVector message = _rig.Access.EnableMsi(1)[0];
        _rig.SetBusMaster(true);
        byte[] sent = Encoding.ASCII.GetBytes("the quick brown fox");
        ulong to = _rig.Ram.Allocate(64);
        Copy(_rig.Ram.Place(sent), EduFunction.MemoryAddress + 8, sent.Length, 0x5, message);
        Copy(EduFunction.MemoryAddress + 8, to, sent.Length, 0x7, message);

        Assert.Equal(sent, _rig.Ram.Read(to, sent.Length));
        Assert.Equal(0x100u, Read(0x24));
    }

    [Fact]
    public void Without_bus_mastering_guest_memory_stays_as_it_is()
    {
        ulong to = _rig.Ram.Place([1, 2, 3, 4]);
        Transfer(EduFunction.MemoryAddress, to, 4, 0x3);
        WaitUntil(() => (Read(0x98) & 1) == 0);
        Assert.Equal(new byte[] { 1, 2, 3, 4 }, _rig.Ram.Read(to, 4));
    }

    [Theory]
    [InlineData(EduFunction.MemoryAddress - 1, 4UL)]
    [InlineData(EduFunction.MemoryAddress + 4093, 4UL)]
    [InlineData(EduFunction.MemoryAddress, 4097UL)]
    [InlineData(EduFunction.MemoryAddress + 1, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, ulong.MaxValue)]
    public void A_copy_that_leaves_the_device_ends_and_does_nothing(ulong source, ulong count)
    {
        _rig.SetBusMaster(true);
        ulong to = _rig.Ram.Place([1, 2, 3, 4]);
        Transfer(source, to, count, 0x3);
        WaitUntil(() => (Read(0x98) & 1) == 0);
        Assert.Equal(new byte[] { 1, 2, 3, 4 }, _rig.Ram.Read(to, 4));
    }

    [Fact]
    public void A_reset_forgets_everything()
    {
        Write(0x04, 1);
        Write(0x60, 1);
        _rig.Function.Reset();
        Assert.Equal(0u, _rig.Access.ReadConfiguration(4, 2));
        Assert.Equal(("0x00000000", "0x00000000"), (Inspect().TextOf("liveness"), Inspect().TextOf("interrupt_status")));
        Assert.False(_rig.Function.Intx.IsAsserted);
    }

    [Fact]
    public void Inspection_names_the_registers()
    {
        Write(0x04, 0xffff_fff0);
        string text = ComponentTree.Inspect(_rig.Function).ToText();
        Assert.Contains("liveness: 0x0000000f", text, StringComparison.Ordinal);
        Assert.Contains("dma_count: 0x0000000000000000", text, StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_saved_is_restored_into_another_and_saved_again_as_the_same()
    {
        CountingVector message = _rig.Access.EnableMsi(1)[0];
        _rig.SetBusMaster(true);
        Copy(_rig.Ram.Place([9, 8, 7]), EduFunction.MemoryAddress, 3, 0x5, message);
        Write(0x04, 77);
        string saved = ComponentTree.Save(_rig.Function).ToJson();

        using var other = new PciFunctionRig(static dma => new EduFunction("edu", dma));
        ComponentTree.Restore(other.Function, ComponentState.FromJson(saved));

        Assert.Equal(saved, ComponentTree.Save(other.Function).ToJson());
        Assert.Equal(~77u, (uint)other.Access.ReadBar(0, 0x04, 4));
        Assert.True(other.Function.IsBusMaster);
    }

    [Fact]
    public void What_was_under_way_goes_on_after_it_was_restored()
    {
        string saved = ComponentTree.Save(_rig.Function).ToJson()
            .Replace("\"Computing\": 0", "\"Computing\": 1", StringComparison.Ordinal)
            .Replace("\"Factorial\": 0", "\"Factorial\": 6", StringComparison.Ordinal);
        ComponentTree.Restore(_rig.Function, ComponentState.FromJson(saved));
        WaitUntil(() => Read(0x20) == 0);
        Assert.Contains("factorial: 0x000002d0", ComponentTree.Inspect(_rig.Function).ToText(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"Liveness\": 0", "\"Liveness\": -1")]
    [InlineData("\"Liveness\": 0,", "")]
    [InlineData("\"Liveness\"", "\"Livelihood\"")]
    [InlineData("\"Computing\": 0", "\"Computing\": 2")]
    [InlineData("AAAAAA==\"", "AA==\"")]
    public void A_state_that_does_not_fit_is_refused_and_changes_nothing(string before, string after)
    {
        string saved = ComponentTree.Save(_rig.Function).ToJson();
        string bad = saved.Replace(before, after, StringComparison.Ordinal);
        Assert.NotEqual(saved, bad);
        Write(0x04, 3);
        Assert.Throws<StateException>(() => ComponentTree.Restore(_rig.Function, ComponentState.FromJson(bad)));
        Assert.Equal(~3u, Read(0x04));
    }

    [Fact]
    public void Conformance_finds_nothing()
    {
        using var access = new InProcessFunctionAccess(static dma => new EduFunction("edu", dma));
        ConformanceReport report = ConformanceRun.Execute(new ConformanceTarget { Name = "edu", Access = access, Reach = TargetReach.All });
        Assert.DoesNotContain(report.Results, static result => result.Verdict is CheckVerdict.Fail or CheckVerdict.Advice);
        Assert.True(report.Passed && report.Count(CheckVerdict.Pass) > 20, $"{report.Count(CheckVerdict.Pass)} checks passed");
    }

    private InspectionNode Inspect() => ComponentTree.Inspect(_rig.Function).Find("edu")!;

    private uint Read(ulong offset) => (uint)_rig.Access.ReadBar(0, offset, 4);

    private void Write(ulong offset, uint value) => _rig.Access.WriteBar(0, offset, 4, value);

    private void Transfer(ulong source, ulong destination, ulong count, ulong command)
    {
        _rig.Access.WriteBar(0, 0x80, 8, source);
        _rig.Access.WriteBar(0, 0x88, 8, destination);
        _rig.Access.WriteBar(0, 0x90, 8, count);
        _rig.Access.WriteBar(0, 0x98, 8, command);
    }

    private void Copy(ulong source, ulong destination, int count, ulong command, CountingVector message)
    {
        Transfer(source, destination, (ulong)count, command);
        Assert.True(message.Wait(Eventually.Patience));
    }

    private static void WaitUntil(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, Eventually.Patience));
}
