using System;
using System.Text;
using Vmm.Machine.Devices;

namespace Vmm.Tests.Machine;

/// <summary>A sink whose room and drain are up to the test.</summary>
internal sealed class FakeSink : ICharacterSink
{
    private readonly StringBuilder _text = new();

    public event Action? Drained;

    public bool HasRoom { get; set; } = true;

    public string Text => _text.ToString();

    public void Write(byte value) => _text.Append((char)value);

    public void Drain()
    {
        HasRoom = true;
        Drained?.Invoke();
    }
}
