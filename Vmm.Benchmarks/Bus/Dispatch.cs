using System;
using System.Runtime.CompilerServices;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Bus;

namespace Vmm.Benchmarks.Bus;

/// <summary>A bus of equal devices, and the loops over it.</summary>
internal sealed class Dispatch
{
    /// <summary>Accesses that a loop makes.</summary>
    public const int Operations = 4096;

    private const ulong FirstBase = 0xd000_0000;
    private const ulong DeviceLength = 0x1000;

    private readonly AddressSpace _space = new(new AddressSpaceOptions());
    private readonly int _count;
    private ulong _random = 1;

    public Dispatch(int count, Func<int, IRegionHandler> create)
    {
        _count = count;
        AddressSpaceTransaction transaction = _space.BeginTransaction();
        for (int i = 0; i < count; i++)
        {
            transaction.Add(new HandlerClaim($"device {i}", DeviceLength, create(i)), FirstBase + (DeviceLength * (ulong)i));
        }

        transaction.Commit();
        for (int i = 0; i < count; i++)
        {
            _space.Write(FirstBase + (DeviceLength * (ulong)i) + 0x10, 4, (ulong)i);
            if (_space.Read(FirstBase + (DeviceLength * (ulong)i) + 0x10, 4) != (ulong)i)
            {
                throw new InvalidOperationException($"device {i} does not answer");
            }
        }
    }

    public void ReadHot() => ReadDevice(_count / 2);

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void ReadDevice(int device)
    {
        ulong address = FirstBase + (DeviceLength * (ulong)device) + 0x10;
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            sum ^= _space.Read(address, 4) + (ulong)i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void WriteHot()
    {
        int device = _count / 2;
        ulong address = FirstBase + (DeviceLength * (ulong)device) + 0x10;
        for (int i = 0; i < Operations; i++)
        {
            _space.Write(address, 4, (ulong)device);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void ReadRandom()
    {
        ulong mask = (ulong)_count - 1;
        ulong x = _random;
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            x = (x * 6364136223846793005) + 1442695040888963407;
            sum ^= _space.Read(FirstBase + (DeviceLength * ((x >> 33) & mask)) + 0x10, 4);
        }

        _random = x;
        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void WriteRandom()
    {
        ulong mask = (ulong)_count - 1;
        ulong x = _random;
        for (int i = 0; i < Operations; i++)
        {
            x = (x * 6364136223846793005) + 1442695040888963407;
            ulong device = (x >> 33) & mask;
            _space.Write(FirstBase + (DeviceLength * device) + 0x10, 4, device);
        }

        _random = x;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void ReadUnclaimed()
    {
        ulong sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            sum ^= _space.Read(0x1000, 4) + (ulong)i;
        }

        BlackBox.Sink ^= sum;
    }
}
