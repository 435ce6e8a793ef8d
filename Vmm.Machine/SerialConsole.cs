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

/// <summary>A serial port with its back-end: file, stream, terminal, pseudo-terminal or nothing.</summary>
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
    private PseudoTerminal? _terminal;
    private bool _ownsTerminal;

    private SerialConsole(ILogger logger) => _logger = logger;

    public SerialPort Port { get; private set; } = null!;

    /// <summary>Where its pseudo-terminal can be opened; null if it is not on one.</summary>
    public string? Path => _terminal?.Path;

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
        long start = Environment.TickCount64;
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
            if (_ownsTerminal)
            {
                _terminal!.Close(LastWords - TimeSpan.FromMilliseconds(Environment.TickCount64 - start));
            }
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

        if (options.Kind == CharacterKind.File)
        {
            _file = OutputFile.Open("serial", options.Path!, machine.AppendOutput);
        }
        else if (options.Kind == CharacterKind.Pty)
        {
            _terminal = options.Terminal ?? OpenTerminal();
            _ownsTerminal = options.Terminal is null;
            _logger.TerminalOpened("serial", _terminal.Path);
        }

        _worker = new Worker("serial");
        _worker.Faulted += failure => _logger.WorkerFailed("serial", failure);
        _sink = options.Kind switch
        {
            CharacterKind.Stream => new StreamSink(_worker, options.CheckedOutput),
            CharacterKind.Pty => new TerminalSink(_worker, _terminal!),
            _ => new DescriptorSink(_worker, _file?.Number ?? StandardOutput),
        };
        Port = new SerialPort(line, _sink);
        if (_terminal is not null)
        {
            _source = new DescriptorSource(_worker, _terminal.Descriptor, Port, escape: null);
        }

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

    private static PseudoTerminal OpenTerminal()
    {
        try
        {
            return PseudoTerminal.Open();
        }
        catch (HostException e)
        {
            throw new MachineException("serial", "pty", e.Message, e);
        }
    }
}
