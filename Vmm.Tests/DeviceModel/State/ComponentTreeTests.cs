using System;
using System.Collections.Generic;
using System.Text.Json;
using System.Text.Json.Serialization;
using Vmm.DeviceModel.State;

namespace Vmm.Tests.DeviceModel.State;

/// <summary>Saving, restoring and showing components by one walk.</summary>
public sealed partial class ComponentTreeTests
{
    [Fact]
    [Trait("Behaviour", "CON-4")]
    public void What_was_saved_is_restored_into_another_and_saved_again_as_the_same_bytes()
    {
        Part saved = Machine(3, 7);
        string json = ComponentTree.Save(saved).ToJson();

        Part other = Machine(0, 0);
        ComponentTree.Restore(other, ComponentState.FromJson(json));

        other.Value.Should().Be(3);
        other.Children[0].Value.Should().Be(7);
        ComponentTree.Save(other).ToJson().Should().Be(json);
    }

    public static TheoryData<string, string, string> Tampered => new()
    {
        { "\"value\": 7", "\"value\": 700", "machine/counter/value: expected 0 to 100, found 700" },
        { "\"value\": 7", "\"value\": \"seven\"", "machine/counter/value: expected a value of the member's type" },
        { "\"value\": 7", "\"value\": 7, \"more\": 1", "machine/counter/" },
        { "\"value\": 7", "\"other\": 7", "machine/counter/" },
        { "\"version\": 1", "\"version\": 2", "machine/version: expected 1, found 2" },
        { "\"kind\": \"part\"", "\"kind\": \"else\"", "machine/kind: expected part, found else" },
        { "\"name\": \"counter\"", "\"name\": \"timer\"", "machine/counter/name: expected counter, found timer" },
    };

    [Theory]
    [MemberData(nameof(Tampered))]
    [Trait("Behaviour", "CON-4")]
    public void A_state_that_does_not_fit_is_refused_with_one_line_and_changes_nothing(string there, string instead, string reason)
    {
        string json = ComponentTree.Save(Machine(3, 7)).ToJson();
        json.Should().Contain(there);
        int at = json.IndexOf(there, StringComparison.Ordinal);
        json = json[..at] + instead + json[(at + there.Length)..];
        Part other = Machine(1, 2);

        Action restore = () => ComponentTree.Restore(other, ComponentState.FromJson(json));

        string message = restore.Should().Throw<StateException>().Which.Message;
        message.Should().Contain(reason).And.NotContain("\n");
        other.Value.Should().Be(1);
        other.Children[0].Value.Should().Be(2);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"name\": \"machine\"")]
    [InlineData("{\"name\": null}")]
    [InlineData("{\"state\": {\"kind\": \"part\", \"version\": 1, \"data\": {\"value\": 1}}, \"parts\": []}")]
    [InlineData("{\"name\": \"machine\", \"state\": {\"version\": 1, \"data\": {\"value\": 1}}, \"parts\": []}")]
    [InlineData("{\"name\": \"machine\", \"state\": {\"kind\": \"part\", \"version\": 1, \"data\": {\"value\": 1}}, \"parts\": [null]}")]
    [InlineData("{\"name\": \"machine\", \"extra\": 1}")]
    public void Json_that_is_no_tree_is_refused(string json)
    {
        Action read = () => ComponentTree.Restore(Machine(1, 2), ComponentState.FromJson(json));

        read.Should().Throw<StateException>();
    }

    [Fact]
    public void A_tree_that_nests_without_end_is_refused()
    {
        string json = new string('x', 1000).Replace("x", "{\"name\":\"a\",\"parts\":[", StringComparison.Ordinal);

        Action read = () => ComponentState.FromJson(json);

        read.Should().Throw<StateException>().Which.Message.Length.Should().BeLessThan(1000);
    }

    [Fact]
    public void A_missing_part_or_state_is_refused()
    {
        ComponentState whole = ComponentTree.Save(Machine(3, 7));

        Action withoutParts = () => ComponentTree.Restore(Machine(1, 2), whole with { Parts = null });
        Action withoutState = () => ComponentTree.Restore(Machine(1, 2), whole with { State = null });

        withoutParts.Should().Throw<StateException>().Which.Path.Should().Be("machine/parts");
        withoutState.Should().Throw<StateException>().Which.Path.Should().Be("machine/state");
    }

    [Fact]
    [Trait("Behaviour", "CON-6")]
    public void The_same_walk_shows_names_and_values_as_text_and_as_json()
    {
        InspectionNode node = ComponentTree.Inspect(Machine(3, 7));

        node.ToText().Should().Be("machine\n  value: 3\n  register: 0x0003\n  odd: yes\n  counter\n    value: 7\n    register: 0x0007\n    odd: yes\n");
        using var json = JsonDocument.Parse(node.ToJson());
        JsonElement counter = json.RootElement.GetProperty("parts")[0];
        counter.GetProperty("name").GetString().Should().Be("counter");
        counter.GetProperty("values").GetProperty("register").GetUInt64().Should().Be(7);
        counter.GetProperty("values").GetProperty("odd").GetBoolean().Should().BeTrue();
    }

    private static Part Machine(int value, int counter) => new("machine", value, new Part("counter", counter));

    private sealed record PartState
    {
        public required int Value { get; init; }
    }

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
    [JsonSerializable(typeof(PartState))]
    private sealed partial class PartJson : JsonSerializerContext;

    private sealed class Part(string name, int value, params Part[] parts) : IComponent
    {
        public int Value { get; private set; } = value;

        public IReadOnlyList<Part> Children => parts;

        public string Name => name;

        public IReadOnlyList<IComponent> Parts => parts;

        public void Inspect(InspectionNode node)
        {
            node.Add("value", Value);
            node.AddBits("register", (ulong)Value, 2);
            node.Add("odd", Value % 2 != 0);
        }

        public SavedState Save() => SavedState.Of("part", 1, new PartState { Value = Value }, PartJson.Default.PartState);

        public Action PrepareRestore(SavedState state)
        {
            PartState data = state.Read("part", 1, PartJson.Default.PartState);
            SavedState.Require(data.Value is >= 0 and <= 100, "value", "0 to 100", data.Value);
            return () => Value = data.Value;
        }
    }
}
