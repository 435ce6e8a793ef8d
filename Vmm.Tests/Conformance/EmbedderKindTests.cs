using System;
using System.Collections.Generic;
using System.IO;
using System.Text.Json.Serialization.Metadata;
using Vmm.Cli;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Tests.Machine;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Conformance;

/// <summary>Kinds that an embedder has added are checked as ours are: <c>vmm conformance</c> knows what the catalogue says of them.</summary>
[Trait("Behaviour", "CON-5")]
public sealed class EmbedderKindTests
{
    private static readonly ModelRequest Request = new(Queue: 0, Reply: [48, 16]);

    [Fact]
    public void A_PCI_function_is_checked_as_one()
    {
        string[] checks = ["--only", "PCI-HEADER-TYPE", "--only", "VTP-ID-VENDOR"];
        (int status, string output) = Run(new EduKind(), ["--model", "edu", "--model", "all,id=every", .. checks]);

        status.Should().Be(0, output);
        output.Should().Contain("edu: 1 passed, 0 failed, 1 skipped").And.Contain("every: 2 passed, 0 failed, 0 skipped");
    }

    [Fact]
    public void A_virtio_device_of_a_type_that_nobody_knows_is_seen_at_work_by_the_request_of_its_kind()
    {
        (int status, string output) = Run(new StrangeKind(Request), "--model", "strange,packed=on");

        status.Should().Be(0, output);
        output.Should().Contain("strange,packed=on: queues exercised: 0 (of 1)").And.Contain(" passed, 0 failed");
    }

    [Fact]
    public void Without_a_request_it_has_not_passed()
    {
        (int status, string output) = Run(new StrangeKind(null), "--model", "strange", "--only", "RING-USED");

        status.Should().Be(1);
        output.Should().Contain("strange: NO QUEUE WAS EXERCISED");
    }

    [Fact]
    public void A_kind_without_a_model_cannot_be_checked_and_says_so()
    {
        var kind = new HostDeviceKind();
        kind.Invoking(it => it.ParseModel("--model")).Should().Throw<InvalidOperationException>().WithMessage("*no model of a device*");
        kind.Invoking(it => it.CreateModel(new HostDeviceOptions("/d"), new DeviceContext("here", new GuestMemory())))
            .Should().Throw<InvalidOperationException>();
        FluentActions.Invoking(() => Run(new EduKind(), "--model", "device,path=/d"))
            .Should().Throw<UsageException>().WithMessage("--model device,path=/d: want blk, net, rng, console, balloon, edu or all*");
    }

    [Fact]
    public void What_the_host_does_not_give_is_said_of_the_model()
    {
        FluentActions.Invoking(() => Run(new StrangeKind(Request), "--model", "strange,id=without"))
            .Should().Throw<MachineException>().WithMessage("model without: /f: no file today");
    }

    private static (int Status, string Output) Run(DeviceKind kind, params string[] words)
    {
        var conformance = new ConformanceCommand(DeviceCatalogue.Default.With(kind));
        using var output = new StringWriter();
        int status = conformance.Execute(conformance.Create().Parse(words, VmmCommand.CreateParserConfiguration()), output);
        return (status, output.ToString());
    }

    private sealed record StrangeOptions : VirtioOptions;

    private sealed class StrangeKind(ModelRequest? request) : VirtioKind<StrangeOptions>
    {
        public override string Name => "strange";

        public override string Form => "id=NAME,...";

        public override string Description => "A device of a type that no specification has";

        public override IReadOnlyList<string> Examples => [];

        public override KindModel? Model { get; } = new("strange", "vectors=2", request);

        public override IJsonTypeInfoResolver? Json => null;

        public override StrangeOptions Parse(string text)
        {
            var words = OptionValue.Parse(Option, text, VirtioWords.Known);
            return new StrangeOptions { Id = words.Get("id"), Transport = VirtioWords.Read(words) };
        }

        protected override VirtioDevice CreateDevice(StrangeOptions options, DeviceContext context) =>
            options.Id == "without" ? throw new BackendException("open", "/f", 0, "no file today") : new RetypedDevice(new EntropyDevice(), 61);
    }
}
