using System;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Interrupts;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Devices;
using Vmm.Machine.Host;

namespace Vmm.Machine;

/// <summary>A serial port with its back-end: file, stream, terminal or nothing.</summary>
internal sealed class SerialConsole : IDisposable
{
    private const int StandardInput = 0;
    private const int StandardOutput = 1;

    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(500);

    private readonly ILogger _logger;
    private Worker? _worker;
    private BufferedSink? _sink;
    private DescriptorSource? _source;
    private FileDescriptor? _file;

    private SerialConsole(ILogger logger) => _logger = logger;

    public SerialPort Port { get; private set; } = null!;

    /// <summary>Makes the port and starts its worker.</summary>
    /// <param name="options">Of which machine.</param>
    /// <param name="line">The port's interrupt.</param>
    /// <param name="logger">The machine's.</param>
    public static SerialConsole Create(MachineOptions options, IInterruptLine line, ILogger logger)
    {
        var console = new SerialConsole(logger);
        try
        {
            console.Build(options, line);
            return console;
        }
        catch
        {
            console.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        if (_sink is not null && !_sink.Flush(LastWords))
        {
            _sink.Abandon();
            _logger.OutputLost("serial", _sink.Pending);
        }

        // A stream of the embedder's may keep the thread for as long as it likes: what the thread has in use then is its own.
        if (_worker?.TryDispose(LastWords) != false)
        {
            _source?.Dispose();
            _sink?.Dispose();
            _file?.Dispose();
        }
    }

    private void Build(MachineOptions machine, IInterruptLine line)
    {
        CharacterOptions options = machine.Serial;
        if (options.Kind == CharacterKind.Null)
        {
            Port = new SerialPort(line, new NullSink());
            return;
        }

        int output = StandardOutput;
        if (options.Kind == CharacterKind.File)
        {
            _file = OutputFile.Open("serial", options.Path!, machine.AppendOutput);
            output = _file.Number;
        }

        _worker = new Worker("serial");
        _worker.Faulted += failure => _logger.WorkerFailed("serial", failure);
        _sink = options.Kind == CharacterKind.Stream ? new StreamSink(_worker, options.CheckedOutput) : new DescriptorSink(_worker, output);
        Port = new SerialPort(line, _sink);
        if (options.Kind == CharacterKind.Terminal)
        {
            try
            {
                _source = new DescriptorSource(_worker, StandardInput, Port, machine.Escape);
            }
            catch (HostException e)
            {
                // A file or /dev/null as standard input.
                _logger.NoInput("serial", e.Message);
            }
        }

        _worker.Start();
    }
}
