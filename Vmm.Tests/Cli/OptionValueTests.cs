using System;
using Vmm.Machine.Catalogue;

namespace Vmm.Tests.Cli;

/// <summary>The words of one option: each known, each once, each with a value.</summary>
public sealed class OptionValueTests
{
    [Fact]
    public void Words_are_taken_apart()
    {
        OptionValue words = Parse("path=/a=b,readonly=on,num_queues=4,size=3G");
        words.Get("path").Should().Be("/a=b");
        words.GetSwitch("readonly").Should().BeTrue();
        words.GetSwitch("shared").Should().BeFalse();
        words.GetNumber("num_queues", 1, 8).Should().Be(4);
        words.GetSize("size").Should().Be(3UL << 30);
        words.Get("id").Should().BeNull();
    }

    [Fact]
    public void A_quoted_value_may_hold_a_comma()
    {
        Parse("path=\"/a,b\",readonly=on").Get("path").Should().Be("/a,b");
    }

    [Theory]
    [InlineData("num_queues=3,readonly=on", new[] { 3 })]
    [InlineData("num_queues=[3],readonly=on", new[] { 3 })]
    [InlineData("num_queues=[3,4,2147483647],readonly=on", new[] { 3, 4, int.MaxValue })]
    [InlineData("num_queues=\"[3,4]\",readonly=on", new[] { 3, 4 })]
    public void Numbers_are_one_or_a_list(string text, int[] numbers)
    {
        OptionValue words = Parse(text);
        words.GetNumbers("num_queues", 3, int.MaxValue).Should().Equal(numbers);
        words.GetSwitch("readonly").Should().BeTrue("the list has an end");
        Parse("readonly=on").GetNumbers("num_queues", 0, 9).Should().BeNull();
    }

    [Theory]
    [InlineData("num_queues=[]", "not a number")]
    [InlineData("num_queues=[3,]", "not a number")]
    [InlineData("num_queues=[3,x]", "not a number")]
    [InlineData("num_queues=[3", "not a number")]
    [InlineData("num_queues=[2,3]", "not from 3 to 2147483647")]
    [InlineData("num_queues=[3,2147483648]", "not from 3 to 2147483647")]
    public void Lists_that_are_wrong(string text, string reason)
    {
        ((Action)(() => Parse(text).GetNumbers("num_queues", 3, int.MaxValue))).Should().Throw<UsageException>()
            .Which.Message.Should().StartWith("--disk").And.Contain(reason);
    }

    [Fact]
    public void A_bracket_elsewhere_is_a_character()
    {
        OptionValue words = Parse("path=/a[1,readonly=on");
        words.Get("path").Should().Be("/a[1");
        words.GetSwitch("readonly").Should().BeTrue();
    }

    [Theory]
    [InlineData("", "empty word")]
    [InlineData("path=/a,", "empty word")]
    [InlineData(",path=/a", "empty word")]
    [InlineData("path", "needs a value")]
    [InlineData("path=", "needs a value")]
    [InlineData("path=/a,path=/b", "given twice")]
    [InlineData("colour=red", "unknown word 'colour'")]
    [InlineData("Path=/a", "unknown word 'Path'")]
    [InlineData("path=\"/a", "not closed")]
    public void Mistakes_are_named(string text, string reason)
    {
        ((Action)(() => Parse(text))).Should().Throw<UsageException>().Which.Message.Should().StartWith("--disk").And.Contain(reason);
    }

    [Theory]
    [InlineData("1", 1UL)]
    [InlineData("4K", 4096UL)]
    [InlineData("256M", 256UL << 20)]
    [InlineData("2g", 2UL << 30)]
    [InlineData("1T", 1UL << 40)]
    [InlineData("18446744073709551615", ulong.MaxValue)]
    public void Sizes(string text, ulong expected)
    {
        Parse($"size={text}").GetSize("size").Should().Be(expected);
    }

    [Theory]
    [InlineData("M")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1.5G")]
    [InlineData("0x10")]
    [InlineData("1 G")]
    [InlineData("1MB")]
    [InlineData("18446744073709551616")]
    [InlineData("16777216T")]
    public void Sizes_that_are_none(string text)
    {
        ((Action)(() => Parse($"size={text}").GetSize("size"))).Should().Throw<UsageException>().Which.Message.Should().Contain($"size={text}");
    }

    [Theory]
    [InlineData("0")]
    [InlineData("9")]
    [InlineData("-1")]
    [InlineData("two")]
    [InlineData("1e1")]
    [InlineData("99999999999999999999")]
    public void Numbers_outside_their_range(string text)
    {
        ((Action)(() => Parse($"num_queues={text}").GetNumber("num_queues", 1, 8))).Should().Throw<UsageException>()
            .Which.Message.Should().Contain($"num_queues={text}");
    }

    [Fact]
    public void A_switch_is_on_or_off()
    {
        Parse("readonly=off").GetSwitch("readonly").Should().BeFalse();
        ((Action)(() => Parse("readonly=yes").GetSwitch("readonly"))).Should().Throw<UsageException>();
    }

    private static OptionValue Parse(string text) => OptionValue.Parse("--disk", text, "path", "readonly", "shared", "num_queues", "size", "id");
}
