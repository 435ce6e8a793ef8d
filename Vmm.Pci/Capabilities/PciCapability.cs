using System;
using System.Globalization;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Pci.Capabilities;

/// <summary>
/// One entry of a function's capability list: its bytes, which of them a guest writes, and what a write or a read sets off (PCI-10).
/// </summary>
/// <remarks>
/// A capability describes itself in its constructor and gets its place when it is added to a function.
/// Hooks run on vCPU threads, several at once, without a lock of the function; plain bytes need no hook.
/// </remarks>
public abstract class PciCapability
{
    private readonly byte[] _value;
    private readonly byte[] _writable;
    private readonly byte[] _writeOneToClear;

    /// <summary>Makes a capability of the standard list.</summary>
    /// <param name="id">Capability ID; see <see cref="Spec.CapabilityIds"/>.</param>
    /// <param name="length">Bytes with the two-byte header, 2 to 192.</param>
    protected PciCapability(byte id, int length)
        : this(id, length, 2, PciConfigurationSpace.ConventionalLength - Spec.ConfigurationRegisters.FirstCapability)
    {
        _value[0] = id;
    }

    private protected PciCapability(int id, int length, int headerLength, int limit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, headerLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, limit);
        Id = id;
        Length = length;
        HeaderLength = headerLength;
        _value = new byte[length];
        _writable = new byte[length];
        _writeOneToClear = new byte[length];
    }

    /// <summary>Capability ID; 8 bits in the standard list, 16 in the extended one.</summary>
    public int Id { get; }

    /// <summary>Bytes with the header.</summary>
    public int Length { get; }

    /// <summary>Where the capability lies in configuration space; 0 until it is added.</summary>
    public int Offset { get; private set; }

    /// <summary>The capability in words, for who looks at the function.</summary>
    public virtual string Description => string.Create(CultureInfo.InvariantCulture, $"id 0x{Id:x2}, {Length} bytes");

    /// <summary>The function that the capability was added to, or null.</summary>
    public IPciFunction? Function => List?.Owner;

    /// <summary>True if reads of some bytes are answered by <see cref="OnRead"/>.</summary>
    protected internal virtual bool HandlesReads => false;

    /// <summary>The capabilities of the function, or null until this one is added.</summary>
    internal CapabilityList? List { get; private set; }

    /// <summary>Bytes of the header: 2, or 4 in the extended list.</summary>
    internal int HeaderLength { get; }

    /// <summary>Defines bytes after the header.</summary>
    /// <param name="offset">Offset in the capability.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">Power-on value.</param>
    /// <param name="writable">Bits the guest writes.</param>
    /// <param name="writeOneToClear">Bits the guest clears by writing ones.</param>
    protected void Define(int offset, int width, uint value, uint writable = 0, uint writeOneToClear = 0)
    {
        if (Function is not null)
        {
            throw new InvalidOperationException("a capability's bytes are defined before it is added to a function");
        }

        if (offset < HeaderLength || width is not (1 or 2 or 4) || offset > Length - width)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{width} bytes after the header of a capability of {Length}");
        }

        for (int i = 0; i < width; i++)
        {
            _value[offset + i] = (byte)(value >> (8 * i));
            _writable[offset + i] = (byte)(writable >> (8 * i));
            _writeOneToClear[offset + i] = (byte)(writeOneToClear >> (8 * i));
        }
    }

    /// <summary>Reads the capability's own bytes from configuration space, without <see cref="OnRead"/>.</summary>
    /// <param name="offset">Offset in the capability, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <exception cref="InvalidOperationException">Not added to a function yet.</exception>
    protected uint ReadBytes(int offset, int width) => RequiredList.Space.Read(Offset + offset, width);

    /// <summary>Changes the capability's own bytes in configuration space, whatever the guest may write.</summary>
    /// <param name="offset">Offset in the capability, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">What the bytes become.</param>
    /// <exception cref="InvalidOperationException">Not added to a function yet.</exception>
    protected void WriteBytes(int offset, int width, uint value)
    {
        int at = Offset + offset;
        RequiredList.Space.Update(at & ~3, ByteLanes.Of(at, width).Bits, value << ((at & 3) * 8));
    }

    /// <summary>A guest wrote bytes of the capability; the registers have taken the writable ones already.</summary>
    /// <param name="offset">Offset of the 32-bit register in the capability, a multiple of 4.</param>
    /// <param name="write">Bytes written, and the register before and after.</param>
    protected internal virtual void OnWritten(int offset, in ConfigurationWrite write)
    {
    }

    /// <summary>A guest reads a 32-bit register of the capability; called only with <see cref="HandlesReads"/>.</summary>
    /// <param name="offset">Offset of the register in the capability, a multiple of 4.</param>
    /// <param name="lanes">The bytes that are read; a register with read side effects acts on these only.</param>
    /// <param name="value">The register as stored.</param>
    /// <returns>The register as the guest sees it; bytes outside <paramref name="lanes"/> are ignored.</returns>
    protected internal virtual uint OnRead(int offset, ByteLanes lanes, uint value) => value;

    /// <summary>The function was reset; the registers have their power-on values already.</summary>
    protected internal virtual void OnReset()
    {
    }

    /// <summary>The function checks itself before it joins a bus: the place for checks against its BARs.</summary>
    /// <exception cref="ArgumentException">The capability describes something that the function does not have.</exception>
    protected internal virtual void OnSealed()
    {
    }

    /// <summary>The function has joined a bus.</summary>
    protected internal virtual void OnAttached()
    {
    }

    /// <summary>The function leaves its bus.</summary>
    protected internal virtual void OnDetached()
    {
    }

    internal virtual uint HeaderFor(int next) => (uint)(Id | (next << 8));

    internal void DefineIn(CapabilityList list, int offset)
    {
        list.Space.Define(offset, _value, _writable, _writeOneToClear);
        Offset = offset;
        List = list;
    }

    private CapabilityList RequiredList => List ?? throw new InvalidOperationException("the capability has not been added to a function");
}
