using System;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Tests.Fakes;

/// <summary>
/// A hypervisor that is told of a <see cref="FakeVfioKernel"/>'s files: in the kernel's log, refused as its steps are, and strict about the order.
/// </summary>
internal sealed class RecordingHostDeviceFiles(FakeVfioKernel kernel) : IHostDeviceFiles
{
    /// <summary>Files that are known now.</summary>
    public int Count { get; private set; }

    public IDisposable Add(int descriptor)
    {
        FakeVfioFile file = kernel.Files[descriptor];
        if (kernel.Note($"hypervisor add {file.Path}") is > 0 and var errno)
        {
            throw new HostException("hypervisor add", errno, "the fake refuses");
        }

        Check(file is not FakeVfioGroup { Container: not { HasIommu: true } }, $"{file.Path} is in no container");
        Check(
            file is not FakeVfioGroup group || !kernel.Files.Values.OfType<FakeVfioDeviceFile>().Any(open => open.Device.Group == group.Group),
            $"a device of {file.Path} is open");
        Check(file is not FakeVfioDeviceFile { Space: not null }, $"{file.Path} is bound");
        file.IsKnownToHypervisor = true;
        Count++;
        return new Registration(this, descriptor, file);
    }

    private void Check(bool right, string otherwise)
    {
        if (!right)
        {
            kernel.Violations.Add(otherwise + " as the hypervisor is told of it");
        }
    }

    private sealed class Registration(RecordingHostDeviceFiles owner, int descriptor, FakeVfioFile file) : IDisposable
    {
        public void Dispose()
        {
            if (file.IsKnownToHypervisor)
            {
                _ = owner.Note(file.Path);
                owner.Check(owner.IsOpen(descriptor), $"{file.Path} is not open");
                file.IsKnownToHypervisor = false;
                owner.Count--;
            }
        }
    }

    private int Note(string path) => kernel.Note($"hypervisor remove {path}");

    private bool IsOpen(int descriptor) => kernel.Files.ContainsKey(descriptor);
}
