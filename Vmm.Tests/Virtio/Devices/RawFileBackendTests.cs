using System;
using System.IO;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;

namespace Vmm.Tests.Virtio.Devices;

public sealed class RawFileBackendTests
{
    [Fact]
    public void A_file_of_100_bytes_is_refused_with_what_to_do()
    {
        using var file = new TemporaryFile(100);
        Action open = () => RawFileBackend.Open(file.Path, false);
        open.Should().Throw<BackendException>().WithMessage($"{file.Path}*100 bytes*512*truncate -s 512*");
        File.WriteAllBytes(file.Path, new byte[512]);
        RawFileBackend.Open(file.Path, false).Dispose();
    }

    [Fact]
    public void What_is_no_disk_is_refused_with_the_path_and_the_reason()
    {
        using var empty = new TemporaryFile(0);
        Refused(empty.Path, "*is empty*");
        Refused(Path.GetTempPath(), "*is a directory*");
        Refused("/nowhere/disk.raw", "/nowhere/disk.raw*does not exist*errno 2*").Errno.Should().Be(2);
        Refused("/dev/null", "*is empty*");
    }

    [Theory]
    [InlineData(false, false, false)]
    [InlineData(false, true, false)]
    [InlineData(true, false, false)]
    [InlineData(true, true, true)]
    public void One_writer_or_any_number_of_readers(bool firstReadOnly, bool secondReadOnly, bool works)
    {
        using var file = new TemporaryFile(4096);
        using (RawFileBackend.Open(file.Path, firstReadOnly))
        {
            Action second = () => RawFileBackend.Open(file.Path, secondReadOnly).Dispose();
            if (works)
            {
                second.Should().NotThrow();
            }
            else
            {
                second.Should().Throw<BackendException>().WithMessage($"{file.Path}*another disk*");
            }
        }

        RawFileBackend.Open(file.Path, false).Dispose();
    }

    private static BackendException Refused(string path, string message)
    {
        Action open = () => RawFileBackend.Open(path, false);
        return open.Should().Throw<BackendException>().WithMessage(message).Which;
    }
}
