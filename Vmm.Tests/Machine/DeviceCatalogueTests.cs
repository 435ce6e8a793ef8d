using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Net;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Win32.SafeHandles;
using Vmm.Cli;
using Vmm.DeviceModel.Memory;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Pci;
using Vmm.Tests.Fakes;
using Vmm.Tests.Vfio.Kernel;
using Vmm.Tests.Vfio.Passthrough;
using Vmm.Vfio.Kernel;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Limits;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Machine;

/// <summary>The table of kinds: each entry is whole, and whoever reads the table needs nothing else.</summary>
[Trait("Behaviour", "CON-5")]
public sealed class DeviceCatalogueTests
{
    public static TheoryData<string> Names => [.. DeviceCatalogue.Default.With(new EduKind()).Kinds.Select(kind => kind.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_kind_has_words_that_are_read_and_written_as_JSON_byte_for_byte(string name)
    {
        DeviceCatalogue catalogue = DeviceCatalogue.Default.With(new EduKind());
        DeviceKind kind = catalogue.Find(name)!;
        kind.Option.Should().Be("--" + name);
        kind.Form.Should().NotBeEmpty();
        kind.Description.Should().NotBeEmpty().And.NotContain("\n");
        kind.Examples.Should().NotBeEmpty();
        foreach (string example in kind.Examples)
        {
            DeviceOptions options = kind.Parse(example)!;
            options.Should().BeOfType(kind.OptionsType);
            catalogue.KindOf(options).Should().BeSameAs(kind);
            string json = catalogue.WriteJson(options);
            json.Should().StartWith($"{{\"kind\":\"{name}\"");
            DeviceOptions read = catalogue.ReadJson(json);
            read.Should().Be(options);
            catalogue.WriteJson(read).Should().Be(json);
        }

        kind.Examples.Should().Contain(example => kind.Parse(example)!.Id != null, "one shows how a device is named");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_kind_makes_its_device_on_fakes(string name)
    {
        using var disk = new TemporaryFile(1 << 20);
        using var output = new TemporaryFile();
        var kernel = new FakeVfioKernel();
        VfioRig.Card().Configuration.CopyTo(kernel.AddController("0000:01:00.0", 5).Configuration.Bytes);
        (DeviceKind Kind, DeviceOptions Options) made = name switch
        {
            "disk" => (new DiskKind(), new DiskOptions(disk.Path)),
            "net" => (new NetKind(static _ => [new FakeNetBackend()]), new NetOptions("tap0")),
            "rng" => (new EntropyKind(), new EntropyOptions()),
            "console" => (new ConsoleKind(), new ConsoleOptions(new CharacterOptions(CharacterKind.File, output.Path))),
            "balloon" => (new BalloonKind(), new BalloonOptions(1 << 20)),
            "device" => (new HostDeviceKind(context => new VfioHost(kernel, context.Memory)), new HostDeviceOptions(kernel.Devices[0].Path)),
            "edu" => (new EduKind(), new EduOptions(7)),
            _ => throw new ArgumentException($"say here how a device of the new kind {name} is made on fakes"),
        };
        var context = new DeviceContext("here", new GuestMemory());

        using (PciFunction function = made.Kind.Create(made.Options, context))
        {
            function.Name.Should().Be("here");
            function.Bus.Should().BeNull();
            made.Kind.DefaultId(made.Options, 0).Should().NotBeEmpty();
        }

        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void JSON_of_an_embedders_kind_reaches_the_converters_of_inherited_members()
    {
        Type[] inherited =
        [
            .. typeof(DeviceOptions).Assembly.GetExportedTypes().Where(static type => type.IsAssignableTo(typeof(DeviceOptions)) && !type.IsSealed),
        ];
        Type[] converters =
        [
            .. inherited.SelectMany(static type => type.GetProperties())
                .Select(static property => property.GetCustomAttribute<JsonConverterAttribute>()?.ConverterType).OfType<Type>().Distinct(),
        ];

        converters.Should().NotBeEmpty().And.OnlyContain(
            static converter => converter.IsPublic && converter.GetConstructor(Type.EmptyTypes) != null,
            "generated code of another assembly makes them; what it cannot make it leaves out, and absent members lose their defaults");
    }

    [Fact]
    public void A_disk_may_have_any_id_and_one_that_is_no_ASCII_is_no_serial_number()
    {
        using var disk = new TemporaryFile(1 << 20);
        using PciFunction function = new DiskKind().Create(new DiskOptions(disk.Path), new DeviceContext("\u00fcber", new GuestMemory()));
        function.Name.Should().Be("\u00fcber");
    }

    [Fact]
    public void Every_option_goes_through_JSON()
    {
        DeviceOptions[] all =
        [
            new DiskOptions("/a\"b", ReadOnly: true, Serial: "ü", QueueCount: 3, Direct: true, DisableIoUring: true)
            {
                Id = "x",
                QueueSize = 64,
                RateLimiterConfig = new RateLimiterOptions(new TokenBucketOptions(1 << 20, 100, 5), new TokenBucketOptions(7, 1000)),
                Transport = new VirtioPciOptions
                {
                    Vectors = 0,
                    RingReset = false,
                    NotificationData = true,
                    AccessPlatform = true,
                    IndirectDescriptors = false,
                    EventIndex = false,
                    PackedRing = true,
                    InOrder = true,
                },
            },
            new NetOptions("t", new MacAddress(0x5254_0012_3456), IPAddress.Parse("10.0.0.1"), IPAddress.Parse("255.0.0.0"), 4)
            {
                RateLimiterConfig = new RateLimiterOptions(Operations: new TokenBucketOptions(long.MaxValue, int.MaxValue, 0)),
            },
            new EntropyOptions("/r"),
            new ConsoleOptions(new CharacterOptions(CharacterKind.File, "/c")),
            new ConsoleOptions(new CharacterOptions(CharacterKind.Terminal)),
            new HostDeviceOptions("/d") { GpuDirectClique = 3, Iommufd = true, MapBars = false, PeerToPeer = true, StopOnError = false },
        ];
        foreach (DeviceOptions options in all)
        {
            DeviceCatalogue.Default.ReadJson(DeviceCatalogue.Default.WriteJson(options)).Should().Be(options);
        }

        DeviceCatalogue.Default.WriteJson(new ConsoleOptions(new CharacterOptions(CharacterKind.Terminal))).Should()
            .Contain("\"character\":{\"kind\":\"tty\"}");
    }

    [Fact]
    public void What_JSON_leaves_out_has_its_default()
    {
        DeviceCatalogue.Default.ReadJson("""{ "path": "/a", "kind": "disk" }""").Should().Be(new DiskOptions("/a"));
        DeviceCatalogue.Default.ReadJson("""{ "kind": "net", "tap": "t", "transport": {} }""").Should().Be(new NetOptions("t"));
        DeviceCatalogue.Default.ReadJson("""{ "kind": "rng" }""").Should().Be(new EntropyOptions());
        DeviceCatalogue.Default.ReadJson("""{ "kind": "device", "path": "/d" }""").Should().Be(new HostDeviceOptions("/d"));
    }

    [Fact]
    [Trait("Behaviour", "IO-5")]
    public void A_limit_is_written_as_others_write_it()
    {
        const string Json = """
            {
              "kind": "disk",
              "rate_limiter_config": {
                "bandwidth": { "size": 1048576, "refill_time": 100 },
                "ops": { "size": 500, "one_time_burst": 9, "refill_time": 1000 }
              },
              "path": "/a"
            }
            """;
        var limit = new RateLimiterOptions(new TokenBucketOptions(1 << 20, 100), new TokenBucketOptions(500, 1000, 9));
        DeviceCatalogue.Default.ReadJson(Json).Should().Be(new DiskOptions("/a") { RateLimiterConfig = limit });
    }

    [Fact]
    public void Every_option_of_the_transport_goes_through_JSON()
    {
        PropertyInfo[] members = [.. typeof(VirtioPciOptions).GetProperties()
            .Where(member => member.CanWrite && member.Name is not (nameof(VirtioPciOptions.Name) or nameof(VirtioPciOptions.LoggerFactory)))];
        members.Should().HaveCountGreaterThan(7);
        foreach (PropertyInfo member in members)
        {
            var transport = new VirtioPciOptions();
            object value = member.PropertyType switch
            {
                { } type when type == typeof(bool) => !(bool)member.GetValue(transport)!,
                { } type when type == typeof(int?) => 7,
                _ => throw new ArgumentException($"say here what {member.Name} can be"),
            };
            member.SetValue(transport, value);
            var options = new EntropyOptions { Transport = transport };
            DeviceCatalogue.Default.ReadJson(DeviceCatalogue.Default.WriteJson(options)).Should().Be(options, member.Name);
        }
    }

    [Theory]
    [InlineData("""{"kind":"tape","path":"/a"}""")]
    [InlineData("""{"path":"/a"}""")]
    [InlineData("""{"kind":"disk"}""")]
    [InlineData("""{"kind":"disk","path":null}""")]
    [InlineData("""{"kind":"disk","path":"/a","writable":true}""")]
    [InlineData("""{"kind":"disk","path":"/a","queue_size":70000}""")]
    [InlineData("""{"kind":"net","tap":"t","mac_address":"52:54"}""")]
    [InlineData("""{"kind":"net","tap":"t","host_address":"10.0.0.1.1"}""")]
    [InlineData("""{"kind":"console","character":{"kind":"loud"}}""")]
    [InlineData("""{"kind":"console"}""")]
    [InlineData("""{"kind":"rng","transport":{"paged":true}}""")]
    [InlineData("""{"kind":"rng","transport":{"in_order":1}}""")]
    [InlineData("""{"kind":"rng","transport":{"vectors":"all"}}""")]
    [InlineData("""{"kind":"rng","transport":[]}""")]
    [InlineData("""{"kind":"disk","path":"/a","rate_limiter_config":{"ops":{"size":1}}}""")]
    [InlineData("""{"kind":"disk","path":"/a","rate_limiter_config":{"ops":{"size":"many","refill_time":1}}}""")]
    [InlineData("""{"kind":"net","tap":"t","rate_limiter_config":{"iops":{"size":1,"refill_time":1}}}""")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    public void JSON_that_is_no_device_is_refused(string json)
    {
        FluentActions.Invoking(() => DeviceCatalogue.Default.ReadJson(json)).Should().Throw<JsonException>();
    }

    [Fact]
    public void Code_has_no_JSON_and_says_so()
    {
        var options = new FunctionOptions(static _ => throw new NotSupportedException()) { Id = "mine" };
        FluentActions.Invoking(() => DeviceCatalogue.Default.WriteJson(options))
            .Should().Throw<NotSupportedException>().WithMessage("mine: FunctionOptions hold code, which has no JSON form");
        FluentActions.Invoking(() => DeviceCatalogue.Default.ReadJson("""{"kind":"function"}""")).Should().Throw<JsonException>();
        FluentActions.Invoking(() => DeviceCatalogue.Default.WriteJson(new ConsoleOptions(CharacterOptions.To(new MemoryStream()))))
            .Should().Throw<NotSupportedException>().WithMessage("*Stream has no JSON form*");
        using var descriptor = new SafeFileHandle(3, ownsHandle: false);
        FluentActions.Invoking(() => DeviceCatalogue.Default.WriteJson(NetOptions.On(descriptor)))
            .Should().Throw<NotSupportedException>().WithMessage("*IReadOnlyList has no JSON form*");
    }

    [Fact]
    public void A_kind_of_an_embedder_is_on_the_command_line_and_in_a_machine()
    {
        DeviceCatalogue catalogue = DeviceCatalogue.Default.With(new EduKind());
        var options = new RunOptions(catalogue);
        Command command = options.CreateCommand();
        command.Options.Single(option => option.Name == "--edu").Description.Should().Be(new EduKind().Description);
        string[] words = ["--kernel", "/k", "--rng", "off", "--edu", "version=3", "--edu", "version=4,id=lesson"];
        MachineOptions machine = options.Read(command.Parse(words, VmmCommand.CreateParserConfiguration())).Machine;
        machine.Devices.Should().Equal(new EduOptions(3), new EduOptions(4) { Id = "lesson" });

        using var preview = MachinePreview.Create(machine);
        preview.Devices.Select(device => (device.Id, device.Function.Name, device.Function.Identity.RevisionId))
            .Should().Equal(("edu0", "edu0", 3), ("lesson", "lesson", 4));
        FluentActions.Invoking(() => MachinePreview.Create(machine with { Catalogue = DeviceCatalogue.Default }))
            .Should().Throw<ArgumentException>().WithMessage("*no kind with EduOptions*");
    }

    [Fact]
    public void Kinds_differ()
    {
        FluentActions.Invoking(() => DeviceCatalogue.Default.With(new DiskKind())).Should().Throw<ArgumentException>().WithMessage("*name disk*");
        FluentActions.Invoking(() => DeviceCatalogue.Default.With(new OtherEntropyKind()))
            .Should().Throw<ArgumentException>().WithMessage("*rng and other*same options*");
        FluentActions.Invoking(() => DeviceCatalogue.Default.With(new OtherDiskKind()))
            .Should().Throw<ArgumentException>().WithMessage("*models with the name blk*");
        DeviceCatalogue.Default.Find("tape").Should().BeNull();
    }

    private sealed class OtherDiskKind : DeviceKind<EduOptions>
    {
        public override string Name => "other";

        public override string Form => "";

        public override string Description => "";

        public override IReadOnlyList<string> Examples => [];

        public override KindModel? Model { get; } = new("blk", "");

        public override IJsonTypeInfoResolver? Json => null;

        public override EduOptions? Parse(string text) => null;

        protected override PciFunction Create(EduOptions options, DeviceContext context) => throw new NotSupportedException();
    }

    private sealed class OtherEntropyKind : DeviceKind<EntropyOptions>
    {
        public override string Name => "other";

        public override string Form => "";

        public override string Description => "";

        public override IReadOnlyList<string> Examples => [];

        public override IJsonTypeInfoResolver? Json => null;

        public override EntropyOptions? Parse(string text) => null;

        protected override PciFunction Create(EntropyOptions options, DeviceContext context) => throw new NotSupportedException();
    }
}
