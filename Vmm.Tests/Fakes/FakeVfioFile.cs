using System;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>An open file of <see cref="FakeVfioKernel"/>.</summary>
internal abstract class FakeVfioFile : IKernelFile
{
    private bool _closed;

    protected FakeVfioFile(FakeVfioKernel kernel, string path)
    {
        (Kernel, Path) = (kernel, path);
        Number = kernel.Number(this);
    }

    public int Number { get; }

    public string Path { get; }

    /// <summary>The hypervisor was told of it, and holds it.</summary>
    public bool IsKnownToHypervisor { get; set; }

    protected FakeVfioKernel Kernel { get; }

    public int Ioctl(uint request, Span<byte> argument) => _closed ? -Errno.EBADF : Handle(request, argument);

    public int Ioctl(uint request, nuint value) => _closed ? -Errno.EBADF : Handle(request, value);

    public virtual bool TryRead(ulong offset, Span<byte> destination) => false;

    public virtual bool TryWrite(ulong offset, ReadOnlySpan<byte> source) => false;

    public virtual HostMemory Map(ulong offset, ulong length, bool writable) => throw new InvalidOperationException($"{Path} cannot be mapped");

    public void Dispose()
    {
        if (!_closed)
        {
            _closed = true;
            _ = Kernel.Note($"close {Path}");
            Close();
            Kernel.Files.Remove(Number);
        }
    }

    protected bool IsClosed => _closed;

    protected virtual int Handle(uint request, Span<byte> argument) => -Errno.ENOTTY;

    protected virtual int Handle(uint request, nuint value) => -Errno.ENOTTY;

    protected virtual void Close()
    {
    }

    /// <summary>Writes a step down; the negated errno to refuse it with, or 0.</summary>
    protected int Note(string request, string more = "") => -Kernel.Note($"{request} {Path}{(more.Length > 0 ? " " : "")}{more}");

    protected static ref T As<T>(Span<byte> argument)
        where T : unmanaged => ref MemoryMarshal.AsRef<T>(argument);

    /// <summary>
    /// Fills an information structure in as the kernel does: in full if there is room, else the fixed part with the size that is needed.
    /// </summary>
    protected static int Answer(Span<byte> argument, byte[] full, int fixedPart, int chainField)
    {
        uint room = MemoryMarshal.Read<uint>(argument);
        if (room != argument.Length)
        {
            return -Errno.EINVAL;
        }

        MemoryMarshal.Write(full, (uint)full.Length);
        if (room >= full.Length)
        {
            full.CopyTo(argument);
        }
        else
        {
            full.AsSpan(0, fixedPart).CopyTo(argument);
            MemoryMarshal.Write(argument[chainField..], 0u);
        }

        return 0;
    }
}
