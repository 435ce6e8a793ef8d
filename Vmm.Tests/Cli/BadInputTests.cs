using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.Tests.Kvm;
using Vmm.Tests.Machine;

namespace Vmm.Tests.Cli;

/// <summary>Bad input to the real command: one line that names option, subject and reason, exit status 2 or 1, nothing left behind.</summary>
public sealed class BadInputTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-cli");
    private readonly string _kernel;

    public BadInputTests()
    {
        _kernel = Make("kernel", KernelBuilder.BzImage());
        Make("text", [.. Enumerable.Repeat((byte)'x', 4000)]);
        Make("cut", KernelBuilder.BzImage()[..3000]);
        Make("small", new byte[100]);
        Make("disk", new byte[4096]);
        using FileStream large = File.Create(PathOf("large"));
        large.SetLength(2L << 30);
    }

    public void Dispose() => _folder.Delete(true);

    [Theory]
    [InlineData("--kernel", "--kernel")]
    [InlineData("--frobnicate", "--kernel", "K", "--frobnicate")]
    [InlineData("--frobnicate", "--frobnicate", "--kernel", "K")]
    [InlineData("--no-reboot", "--kernel", "K", "--no-reboot", "--no-reboot")]
    [InlineData("--serial loud", "--kernel", "K", "--serial", "loud")]
    [InlineData("--kernel", "--cpus", "boot=1")]
    public void Wrong_options(string named, params string[] arguments)
    {
        Run(arguments).ShouldHaveFailed(2, named);
    }

    [Fact]
    public void No_command_and_an_unknown_one()
    {
        VmmProcess.Run().ShouldHaveFailed(2, "command");
        VmmProcess.Run("fly").ShouldHaveFailed(2, "fly", "unknown word");
        Run("--kernel", "K", "fly").ShouldHaveFailed(2, "fly", "unknown word");
    }

    [Theory]
    [InlineData("--kernel", "K")]
    [InlineData("--initramfs", "disk")]
    [InlineData("--cmdline", "quiet")]
    [InlineData("--memory", "size=512M")]
    [InlineData("--serial", "off")]
    public void An_option_given_twice(string option, string value)
    {
        string[] kernel = option == "--kernel" ? [] : ["--kernel", "K"];
        Run([.. kernel, option, value, option, value]).ShouldHaveFailed(2, option, "given twice");
    }

    [Theory]
    [InlineData("--cpus", "boot=0", "not from 1 to 254")]
    [InlineData("--cpus", "boot=300", "not from 1 to 254")]
    [InlineData("--cpus", "cores=2", "unknown word 'cores'")]
    [InlineData("--memory", "size=0", "at least 16M")]
    [InlineData("--memory", "size=512M,size=1G", "given twice")]
    [InlineData("--memory", "512M", "unknown word '512M'")]
    [InlineData("--disk", "path=disk,path=disk", "given twice")]
    [InlineData("--disk", "file=disk", "unknown word 'file'")]
    [InlineData("--net", "tap=abcdefghijklmnopqrstuvwxyzabcdefghijklmn", "longer than 15 bytes")]
    [InlineData("--rng", "source=/dev/urandom", "unknown word 'source'")]
    [InlineData("--device", "address=0000:00:10.0", "unknown word 'address'")]
    [InlineData("--device", "path=/d,x_nv_gpudirect_clique=16", "not from 0 to 15")]
    [InlineData("--device", "path=/d,p2p=yes", "neither on nor off")]
    public void Wrong_words(string option, string value, string reason)
    {
        Run("--kernel", "K", option, value).ShouldHaveFailed(2, option, value.Split(',')[^1], reason);
    }

    [Theory]
    [InlineData("absent", "no such file")]
    [InlineData(".", "is a directory")]
    [InlineData("text", "neither a bzImage nor an ELF vmlinux")]
    [InlineData("cut", "truncated")]
    public void Files_that_are_no_kernel(string name, string reason)
    {
        string path = PathOf(name);
        Run("--kernel", path).ShouldHaveFailed(1, "--kernel", path, reason);
    }

    [KvmFact]
    public void More_memory_than_there_could_be()
    {
        Run("--kernel", "K", "--memory", "size=1024T").ShouldHaveFailed(1, "--memory", "size=");
    }

    [KvmFact]
    public void An_initramfs_larger_than_RAM()
    {
        Run("--kernel", "K", "--initramfs", PathOf("large"), "--memory", "size=1G").ShouldHaveFailed(1, "--initramfs", PathOf("large"), "do not fit");
    }

    [KvmFact]
    public void Disks_that_are_none()
    {
        Run("--kernel", "K", "--disk", $"path={PathOf("absent")}").ShouldHaveFailed(1, "--disk", PathOf("absent"), "does not exist");
        Run("--kernel", "K", "--disk", $"path={PathOf("small")}").ShouldHaveFailed(1, "--disk", PathOf("small"), "100 bytes");
        Run("--kernel", "K", "--disk", $"path={_folder.FullName}").ShouldHaveFailed(1, "--disk", _folder.FullName, "is a directory");
    }

    [KvmFact]
    public void One_file_as_two_writable_disks()
    {
        string disk = $"path={PathOf("disk")}";
        Run("--kernel", "K", "--disk", disk, "--disk", disk).ShouldHaveFailed(1, "--disk", PathOf("disk"), "in use");
        Run("--kernel", "K", "--disk", disk, "--disk", disk + ",readonly=on").ShouldHaveFailed(1, "--disk", PathOf("disk"), "open for writing");
    }

    [KvmFact]
    public void Sources_and_outputs_that_cannot_be_opened()
    {
        Run("--kernel", "K", "--rng", $"src={PathOf("absent")}").ShouldHaveFailed(1, "--rng", PathOf("absent"));
        Run("--kernel", "K", "--serial", $"file={PathOf("absent/file")}").ShouldHaveFailed(1, "--serial", PathOf("absent/file"), "No such file");
        Run("--kernel", "K", "--serial", "off", "--console", $"file={PathOf("absent/file")}")
            .ShouldHaveFailed(1, "--console", PathOf("absent/file"), "No such file");
    }

    [RootFact("unshare", "mount")]
    public void No_dev_kvm()
    {
        string script = $"mount -t tmpfs none /dev && exec '{VmmProcess.Command}' run --kernel '{_kernel}'";
        VmmProcess.RunProgram("unshare", ["--mount", "sh", "-c", script]).ShouldHaveFailed(1, "/dev/kvm", "does not exist");
    }

    [RootFact("unshare", "mount", "mknod", "setpriv")]
    public void No_permission_on_dev_kvm()
    {
        // A device node of our own, in a mount namespace of our own. The file of the kernel has to be where that user may read.
        string script = $"""
            mount -t tmpfs none /dev && mknod -m 0600 /dev/kvm c 10 232 && chmod 0755 '{_folder.FullName}' &&
            exec setpriv --reuid 65534 --regid 65534 --clear-groups '{VmmProcess.Command}' run --kernel '{_kernel}'
            """;
        VmmProcess.RunProgram("unshare", ["--mount", "sh", "-c", script]).ShouldHaveFailed(1, "/dev/kvm", "no permission");
    }

    [KvmFact]
    public void Nothing_is_left_behind()
    {
        string[] before = Files();
        Run("--kernel", "K", "--serial", $"file={PathOf("console")}", "--net", "tap=vmmcli0", "--disk", $"path={PathOf("small")}")
            .Status.Should().Be(1);
        Files().Except(before).Should().BeSubsetOf([PathOf("console")], "the file of the serial port was asked for");
        Directory.Exists("/sys/class/net/vmmcli0").Should().BeFalse();
    }

    [Fact]
    public void Help_and_version_go_to_stdout_with_status_0()
    {
        VmmResult help = VmmProcess.Run("run", "--help");
        help.Status.Should().Be(0, help.Error);
        help.Output.Should().ContainAll(
            "--kernel", "--initramfs", "--cmdline", "--cpus", "--memory", "--disk", "--net", "--rng", "--console", "--serial", "--no-reboot",
            "--log-level");
        help.Output.Should().ContainAll("packed=on", "queue_size=N", "readonly=on", "x_nv_gpudirect_clique=N");
        string words = string.Join(' ', help.Output.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries));
        words.Should().ContainAll("(needed by run)", "with K, M, G or T for a unit", "tty needs --serial off, null, pty or file=FILE");
        help.Output.Split('\n').Where(static line => line.StartsWith("  --", StringComparison.Ordinal))
            .Should().OnlyContain(static line => line.IndexOf("  ", 4, StringComparison.Ordinal) < 45, "options and what they do stand side by side");
        VmmProcess.Run("--version").Status.Should().Be(0);
    }

    [Fact]
    public void Without_a_command_the_commands_are_named()
    {
        VmmProcess.Run().ShouldHaveFailed(2, "needs a command", "run, devices, conformance or ctl", "vmm --help");
        VmmProcess.Run("walk").ShouldHaveFailed(2, "walk", "unknown word", "vmm --help");
    }

    private string[] Files() => [.. Directory.GetFileSystemEntries(_folder.FullName).Order(StringComparer.Ordinal)];

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);

    private string Make(string name, byte[] content)
    {
        File.WriteAllBytes(PathOf(name), content);
        return PathOf(name);
    }

    private VmmResult Run(params string[] arguments)
    {
        IEnumerable<string> words = arguments.Select(a => a == "K" ? _kernel : a);
        return VmmProcess.Run(["run", .. words]);
    }
}
