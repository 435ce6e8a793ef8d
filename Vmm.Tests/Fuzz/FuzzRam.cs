using System;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.Fuzz;

/// <summary>Guest RAM in several regions with holes between, each with guards around it in the host, that come and go while devices run.</summary>
internal sealed unsafe partial class FuzzRam : IDisposable
{
    private const byte Pattern = 0xc7;
    private const ulong Page = 0x1000;

    /// <summary>Two that touch, one that neither begins nor fills whole pages, one above 4 GiB, one that ends where the address space does.</summary>
    public static readonly (ulong Address, ulong Length)[] Layout =
    [
        (0x10_0000, 0x10_0000), (0x40_0000, 0x1_0000), (0x41_0000, 0x1_0000), (0x80_0800, 0x1800), (0x1_0000_0000, 0x4_0000),
        (0xffff_ffff_ffff_0000, 0x1_0000),
    ];

    private readonly Lock _lock = new();
    private readonly SystemRam _ram;
    private readonly GuardKind _guard;
    private readonly (GuestMemoryRegion Region, HostMemory Memory)?[] _present;

    /// <param name="space">Where the guest sees it.</param>
    /// <param name="guard">What lies around it.</param>
    /// <param name="regions">How many of <see cref="Layout"/>.</param>
    public FuzzRam(AddressSpace space, GuardKind guard, int regions)
    {
        _ram = new SystemRam(space);
        _guard = guard;
        _present = new (GuestMemoryRegion, HostMemory)?[regions];
        for (int i = 0; i < regions; i++)
        {
            Add(i);
        }
    }

    public GuestMemory Guest => _ram.Memory;

    public int Regions => _present.Length;

    /// <summary>What was found wrong with a guard, or null.</summary>
    public string? Damage { get; private set; }

    public void Add(int index)
    {
        lock (_lock)
        {
            if (_present[index] is not null)
            {
                return;
            }

            (ulong address, ulong length) = Layout[index];
            ulong head = Page + (address % Page);
            ulong room = ((head + length + Page - 1) & ~(Page - 1)) + Page;
            var memory = HostMemory.AllocateAnonymous(room);
            SetGuards(memory, head, length);
            try
            {
                _present[index] = (_ram.Add(address, memory, head, length, $"ram{index}"), memory);
            }
            catch (HostException)
            {
                // Refused by the fuzzer's seams: the region stays away.
                memory.Dispose();
            }
        }
    }

    public void Remove(int index)
    {
        lock (_lock)
        {
            if (_present[index] is not { } region)
            {
                return;
            }

            _present[index] = null;
            _ram.Remove(region.Region);
            Check(index, region.Memory, region.Region);
            region.Memory.Dispose();
        }
    }

    /// <summary>Looks at the guards.</summary>
    public void Check()
    {
        lock (_lock)
        {
            for (int i = 0; i < _present.Length; i++)
            {
                if (_present[i] is { } region)
                {
                    Check(i, region.Memory, region.Region);
                }
            }
        }
    }

    public void Dispose()
    {
        for (int i = 0; i < _present.Length; i++)
        {
            Remove(i);
        }
    }

    private void SetGuards(HostMemory memory, ulong head, ulong length)
    {
        if (_guard == GuardKind.NoAccess)
        {
            mprotect(memory.Pointer, (nuint)Page, 0).Should().Be(0);
            mprotect(memory.Pointer + memory.Length - Page, (nuint)Page, 0).Should().Be(0);
            return;
        }

        new Span<byte>(memory.Pointer, (int)head).Fill(Pattern);
        new Span<byte>(memory.Pointer + head + length, (int)(memory.Length - head - length)).Fill(Pattern);
    }

    private void Check(int index, HostMemory memory, GuestMemoryRegion region)
    {
        if (_guard == GuardKind.NoAccess)
        {
            return;
        }

        ulong end = region.Offset + region.Length;
        int before = new ReadOnlySpan<byte>(memory.Pointer, (int)region.Offset).IndexOfAnyExcept(Pattern);
        int behind = new ReadOnlySpan<byte>(memory.Pointer + end, (int)(memory.Length - end)).IndexOfAnyExcept(Pattern);
        if (before >= 0 || behind >= 0)
        {
            Damage = before >= 0
                ? $"host memory {(long)region.Offset - before} bytes before RAM region {index} was written"
                : $"host memory {behind} bytes behind RAM region {index} was written";
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mprotect(void* address, nuint length, int protection);
}
