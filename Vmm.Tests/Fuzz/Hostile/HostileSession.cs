using System;
using System.Collections.Generic;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>One lying device and the driver that it is given, from its making to its end: does operations, and judges how each ends.</summary>
internal sealed class HostileSession
{
    /// <summary>How long the driver is patient with the device.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(1);

    // What an operation may allocate: its own buffers, exceptions and what it reads, and never by what the device says.
    private const long MostAllocated = 24 << 20;

    private readonly HostileProfile _profile;
    private readonly HostileDevice _device;
    private readonly HostileCounts _counts;
    private DriverUse? _driver;

    public HostileSession(HostileProfile profile, HostileCounts counts)
    {
        (_profile, _counts) = (profile, counts);
        _device = new HostileDevice(profile);
    }

    /// <summary>Does the operations and closes the driver.</summary>
    /// <returns>What went wrong, or null.</returns>
    public string? Run(IReadOnlyList<HostileOperation> operations, FuzzProgress progress)
    {
        string? wrong = null;
        for (int i = 0; i < operations.Count && wrong is null; i++)
        {
            progress.Begin(i);
            wrong = Judge(operations[i]);
            _counts.Operations++;
        }

        wrong ??= Judge(new HostileOperation(HostileAction.Close, 1));
        progress.End();
        _device.Dispose();
        return wrong ?? _device.Violation;
    }

    private string? Judge(HostileOperation operation)
    {
        _device.Begin(operation.Seed);
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            Do(operation, new Random((int)(operation.Seed ^ 0x5eed)));
        }
        catch (DriverException refused)
        {
            _counts.Refused(refused.Step);
        }
        catch (IovaExhaustedException) when (_device.Exhausted)
        {
            _counts.Refused("no address");
        }
        catch (Exception thrown)
        {
            return $"{operation} threw {thrown}";
        }

        _device.ResetsQueue = false;
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        if (allocated > MostAllocated)
        {
            return $"{operation} allocated {allocated} bytes";
        }

        if (_driver is null && _device.Mapped > 0 && !_device.IsLive)
        {
            return $"{operation} left {_device.Mapped} buffers mapped of a device that is not driven";
        }

        return _device.Violation;
    }

    private void Do(HostileOperation operation, Random random)
    {
        switch (operation.Action)
        {
            case HostileAction.Open:
                if (_driver is null && !_device.IsLive)
                {
                    _driver = Open(random);
                    _counts.Started += _profile.Kind == DriverKind.Raw ? 0 : 1;
                }

                break;
            case HostileAction.Interrupt:
                _device.Interrupt();
                break;
            case HostileAction.Close:
                if (_driver is { } closing)
                {
                    _driver = null;
                    closing.Pci.Dispose();
                    _counts.Abandoned += closing.Pci.IsAbandoned ? 1 : 0;
                    if (!closing.Pci.IsAbandoned && _device.Mapped > 0)
                    {
                        throw new InvalidOperationException($"a driver that is closed left {_device.Mapped} buffers mapped");
                    }
                }

                break;
            default:
                if (_driver is { } driver)
                {
                    _device.ResetsQueue = operation.Action == HostileAction.ResetQueue;
                    Use(driver, operation.Action, random);
                }

                break;
        }
    }

    private void Use(DriverUse driver, HostileAction action, Random random)
    {
        try
        {
            driver.Do(action, random, _counts);
        }
        catch (Exception) when (action == HostileAction.Start)
        {
            // A driver that could not start its device is closed.
            _driver = null;
            throw;
        }
    }

    private DriverUse Open(Random random)
    {
        ulong some = (ulong)random.NextInt64();
        var options = new VirtioDriverOptions
        {
            WantedFeatures = some,
            RefusedFeatures = random.Next(2) == 0 ? 0 : (ulong)random.NextInt64() & ~(1UL << 32),
            Completion = (CompletionMode)random.Next(3),
            MaximumVectors = random.Next(3) == 0 ? random.Next(4) : int.MaxValue,
            Timeout = Patience,
        };
        return _profile.Kind switch
        {
            DriverKind.Block => new BlockUse(VirtioBlockDriver.Open(_device, options, random.Next(1, 4), 1 << random.Next(1, 9))),
            DriverKind.Net => new NetUse(VirtioNetDriver.Open(
                _device, options, new NetDriverOptions { BufferSize = 64 << random.Next(6), QueueSize = 1 << random.Next(8) })),
            DriverKind.Console => new ConsoleUse(VirtioConsoleDriver.Open(_device, options)),
            DriverKind.Entropy => new EntropyUse(VirtioEntropyDriver.Open(_device, options)),
            _ => new RawUse(VirtioPciDriver.Open(_device, options)),
        };
    }
}
