using System;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Driver;

/// <summary>A console device with one port as a driver uses it (virtio 1.2, 5.3).</summary>
/// <remarks>One thread at a time for each of input and output.</remarks>
public sealed class VirtioConsoleDriver : IDisposable
{
    private const ulong SizeFeature = 1UL << 0;
    private const int BufferSize = 1024;
    private const int MostBuffers = 8;

    private readonly RequestSlots _input;
    private readonly RequestSlots _output;
    private int _current = -1;
    private int _taken;
    private int _filled;

    private VirtioConsoleDriver(VirtioPciDriver driver)
    {
        Driver = driver;
        _input = new RequestSlots(driver, driver.Queues[0], Math.Min(MostBuffers, driver.Queues[0].Size), BufferSize);
        _output = new RequestSlots(driver, driver.Queues[1], 1, BufferSize);
        while (_input.TryTake(out int slot))
        {
            Post(slot);
        }

        _input.Queue.Notify();
    }

    /// <summary>The driver underneath.</summary>
    public VirtioPciDriver Driver { get; }

    /// <summary>Columns and rows of the screen, or null if the device does not say.</summary>
    public (int Columns, int Rows)? ScreenSize => (Driver.Features & SizeFeature) == 0
        ? null
        : Driver.ReadDeviceConfiguration(static read => ((int)read(0, 2), (int)read(2, 2)));

    /// <summary>Initialises and starts a console device.</summary>
    /// <param name="access">The function.</param>
    /// <param name="options">What to ask for; the size of the screen is wanted in any case.</param>
    /// <exception cref="DriverException">The device cannot be driven.</exception>
    public static VirtioConsoleDriver Open(IPciFunctionAccess access, VirtioDriverOptions? options = null)
    {
        options ??= new VirtioDriverOptions();
        var driver = VirtioPciDriver.Open(
            access, options with { DeviceType = VirtioDeviceType.Console, WantedFeatures = options.WantedFeatures | SizeFeature });
        try
        {
            driver.Start(2, 64);
            return new VirtioConsoleDriver(driver);
        }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    /// <summary>Writes output and waits until the device has taken it.</summary>
    /// <param name="output">The bytes.</param>
    /// <exception cref="DriverException">The device does not take it.</exception>
    public void Write(ReadOnlySpan<byte> output)
    {
        while (!output.IsEmpty)
        {
            if (!_output.TryTake(out int slot))
            {
                throw new DriverException("console", "earlier output was not taken");
            }

            int length = Math.Min(output.Length, BufferSize);
            output[..length].CopyTo(_output.MemoryOf(slot));
            _ = _output.TrySubmit(slot, [new DriverSegment(_output.IovaOf(slot), (uint)length, false)]);
            _output.Queue.Notify();
            _output.Return(_output.Wait(out _));
            output = output[length..];
        }
    }

    /// <summary>Reads input.</summary>
    /// <param name="input">Room for it.</param>
    /// <param name="timeout">How long to wait for the first byte; zero to look only.</param>
    /// <returns>Bytes read; 0 if none came in time.</returns>
    /// <exception cref="DriverException">The device says what cannot be.</exception>
    public int Read(Span<byte> input, TimeSpan timeout)
    {
        if (_current < 0)
        {
            if (!_input.TryWait(timeout, out int slot, out uint written))
            {
                return 0;
            }

            (_current, _taken, _filled) = (slot, 0, (int)written);
        }

        int length = Math.Min(input.Length, _filled - _taken);
        _input.MemoryOf(_current).Slice(_taken, length).CopyTo(input);
        _taken += length;
        if (_taken == _filled)
        {
            Post(_current);
            _current = -1;
            _input.Queue.Notify();
        }

        return length;
    }

    /// <inheritdoc/>
    public void Dispose() => Driver.Dispose();

    private void Post(int slot) => _ = _input.TrySubmit(slot, [new DriverSegment(_input.IovaOf(slot), BufferSize, true)]);
}
