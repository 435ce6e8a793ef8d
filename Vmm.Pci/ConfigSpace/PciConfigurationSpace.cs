using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.State;
using Vmm.Pci.State;

namespace Vmm.Pci.ConfigSpace;

/// <summary>
/// The registers of one function as data: an image, a mask of writable bits and a mask of write-1-to-clear bits, and the power-on image (PCI-1).
/// </summary>
/// <remarks>
/// Kept as 32-bit registers. A read is one atomic load; a guest's write is one compare-and-swap of the register with the bytes that were
/// written, so concurrent vCPUs that write different bytes of a register never undo each other, and no lock is held. A write to bytes
/// with side effects is never widened: what was written travels with its byte lanes in <see cref="ConfigurationWrite"/>.
/// Defining registers is for set-up, by one thread.
/// </remarks>
public sealed class PciConfigurationSpace
{
    /// <summary>Bytes of a conventional function's space.</summary>
    public const int ConventionalLength = 256;

    /// <summary>Bytes of a PCI Express function's space.</summary>
    public const int ExpressLength = 4096;

    private readonly uint[] _image;
    private readonly uint[] _powerOn;
    private readonly uint[] _writable;
    private readonly uint[] _writeOneToClear;
    private readonly uint[] _deviceBits;

    /// <summary>Makes a space in which every byte is read-only and zero.</summary>
    /// <param name="length">256, or 4096 with extended space.</param>
    /// <exception cref="ArgumentException">Another length.</exception>
    public PciConfigurationSpace(int length)
    {
        if (length is not (ConventionalLength or ExpressLength))
        {
            throw new ArgumentException($"configuration space has {ConventionalLength} or {ExpressLength} bytes, not {length}", nameof(length));
        }

        _image = new uint[length / 4];
        _powerOn = new uint[length / 4];
        _writable = new uint[length / 4];
        _writeOneToClear = new uint[length / 4];
        _deviceBits = new uint[length / 4];
    }

    /// <summary>Bytes: 256 or 4096.</summary>
    public int Length => _image.Length * 4;

    /// <summary>Defines bytes: their power-on value and how a guest may write them.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="value">Power-on values.</param>
    /// <param name="writable">Bits the guest writes; empty for none, else as long as <paramref name="value"/>.</param>
    /// <param name="writeOneToClear">Bits the guest clears by writing ones; empty for none, else as long as <paramref name="value"/>.</param>
    /// <exception cref="ArgumentException">Outside the space, lengths that differ, or a bit that is both.</exception>
    public void Define(int offset, ReadOnlySpan<byte> value, ReadOnlySpan<byte> writable = default, ReadOnlySpan<byte> writeOneToClear = default)
    {
        if (offset < 0 || offset > Length || value.Length > Length - offset)
        {
            throw new ArgumentException(
                $"{value.Length} bytes at 0x{offset:x} do not lie inside {Length} bytes of configuration space", nameof(offset));
        }

        if ((!writable.IsEmpty && writable.Length != value.Length) || (!writeOneToClear.IsEmpty && writeOneToClear.Length != value.Length))
        {
            throw new ArgumentException("a mask must be as long as the values", nameof(writable));
        }

        for (int i = 0; i < value.Length; i++)
        {
            byte write = writable.IsEmpty ? (byte)0 : writable[i];
            byte clear = writeOneToClear.IsEmpty ? (byte)0 : writeOneToClear[i];
            if ((write & clear) != 0)
            {
                throw new ArgumentException($"byte 0x{offset + i:x}: a bit is either writable or write-1-to-clear", nameof(writeOneToClear));
            }

            SetByte(_image, offset + i, value[i]);
            SetByte(_powerOn, offset + i, value[i]);
            SetByte(_writable, offset + i, write);
            SetByte(_writeOneToClear, offset + i, clear);
        }
    }

    /// <summary>Defines one register of 1, 2 or 4 bytes.</summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">Power-on value.</param>
    /// <param name="writable">Bits the guest writes.</param>
    /// <param name="writeOneToClear">Bits the guest clears by writing ones.</param>
    public void Define(int offset, int width, uint value, uint writable = 0, uint writeOneToClear = 0)
    {
        Span<byte> bytes = stackalloc byte[12];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], writable);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], writeOneToClear);
        Define(offset, bytes[..width], bytes.Slice(4, width), bytes.Slice(8, width));
    }

    /// <summary>Says that the device changes bits which the guest cannot write, so that they are state: a saved one may differ in them.</summary>
    /// <param name="offset">A multiple of 4 inside the space.</param>
    /// <param name="bits">Which bits.</param>
    public void DefineDeviceBits(int offset, uint bits) => _deviceBits[offset >> 2] |= bits;

    /// <summary>Reads 1, 2 or 4 bytes.</summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/> inside the space.</param>
    /// <param name="width">1, 2 or 4.</param>
    public uint Read(int offset, int width)
    {
        uint register = Volatile.Read(ref _image[offset >> 2]);
        return (register >> ((offset & 3) * 8)) & (uint)AccessWidth.Mask(width);
    }

    /// <summary>Reads the whole register at an offset.</summary>
    /// <param name="offset">A multiple of 4 inside the space.</param>
    public uint ReadRegister(int offset) => Volatile.Read(ref _image[offset >> 2]);

    /// <summary>The bits of a register that a guest can write, without the write-1-to-clear ones.</summary>
    /// <param name="offset">A multiple of 4 inside the space.</param>
    public uint WritableBits(int offset) => _writable[offset >> 2];

    /// <summary>The bits of a register that a guest clears by writing ones.</summary>
    /// <param name="offset">A multiple of 4 inside the space.</param>
    public uint WriteOneToClearBits(int offset) => _writeOneToClear[offset >> 2];

    /// <summary>
    /// A guest's write of 1, 2 or 4 bytes: writable bits take the value, write-1-to-clear bits are cleared by ones, the rest stays.
    /// </summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/> inside the space.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">The value in the low bytes; bytes above the width are ignored.</param>
    public ConfigurationWrite Write(int offset, int width, uint value)
    {
        int index = offset >> 2;
        int shift = (offset & 3) * 8;
        uint lanes = (uint)AccessWidth.Mask(width) << shift;
        uint written = (value << shift) & lanes;
        uint writable = _writable[index] & lanes;
        uint clear = _writeOneToClear[index] & written;
        ref uint register = ref _image[index];
        uint old = Volatile.Read(ref register);
        while (true)
        {
            uint changed = ((old & ~writable) | (written & writable)) & ~clear;
            if (changed == old)
            {
                break;
            }

            uint seen = Interlocked.CompareExchange(ref register, changed, old);
            if (seen == old)
            {
                return new ConfigurationWrite(index * 4, ByteLanes.Of(offset, width), written, old, changed);
            }

            old = seen;
        }

        return new ConfigurationWrite(index * 4, ByteLanes.Of(offset, width), written, old, old);
    }

    /// <summary>The device changes bits of a register, whatever the guest may write.</summary>
    /// <param name="offset">A multiple of 4 inside the space.</param>
    /// <param name="bits">Which bits change.</param>
    /// <param name="value">What they become; other bits are ignored.</param>
    /// <returns>The register before.</returns>
    public uint Update(int offset, uint bits, uint value)
    {
        ref uint register = ref _image[offset >> 2];
        uint old = Volatile.Read(ref register);
        while (true)
        {
            uint seen = Interlocked.CompareExchange(ref register, (old & ~bits) | (value & bits), old);
            if (seen == old)
            {
                return old;
            }

            old = seen;
        }
    }

    /// <summary>Changes bits of the power-on image and of the register, for facts that change with the topology.</summary>
    /// <param name="offset">A multiple of 4 inside the space.</param>
    /// <param name="bits">Which bits change.</param>
    /// <param name="value">What they become.</param>
    public void Redefine(int offset, uint bits, uint value)
    {
        _powerOn[offset >> 2] = (_powerOn[offset >> 2] & ~bits) | (value & bits);
        Update(offset, bits, value);
    }

    /// <summary>Every register takes its power-on value.</summary>
    public void Reset()
    {
        for (int i = 0; i < _image.Length; i++)
        {
            Volatile.Write(ref _image[i], _powerOn[i]);
        }
    }

    /// <summary>Copies the registers out as bytes, for dumps.</summary>
    /// <param name="destination">At least <see cref="Length"/> bytes.</param>
    public void CopyTo(Span<byte> destination)
    {
        for (int i = 0; i < _image.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(destination[(i * 4)..], Volatile.Read(ref _image[i]));
        }
    }

    /// <summary>The registers that do not have their power-on value.</summary>
    internal List<RegisterState> Save()
    {
        var registers = new List<RegisterState>();
        for (int i = 0; i < _image.Length; i++)
        {
            uint value = Volatile.Read(ref _image[i]);
            if (value != _powerOn[i])
            {
                registers.Add(new RegisterState(i * 4, value));
            }
        }

        return registers;
    }

    /// <summary>Refuses saved registers that differ from the power-on image in a bit that neither a guest nor the device changes.</summary>
    /// <exception cref="StateException">The first register that cannot be.</exception>
    internal void Check(IReadOnlyList<RegisterState> registers)
    {
        int last = -4;
        foreach (RegisterState register in registers)
        {
            SavedState.Require(register is not null, "registers", "registers", "null");
            int offset = register!.Offset;
            SavedState.Require(offset > last && offset < Length && (offset & 3) == 0, "registers.offset", $"ascending multiples of 4 below {Length}", offset);
            int index = offset >> 2;
            uint wrong = (register.Value ^ _powerOn[index]) & ~(_writable[index] | _writeOneToClear[index] | _deviceBits[index]);
            SavedState.Require(
                wrong == 0, $"registers[0x{offset:x}]", $"0x{_powerOn[index]:x8} but for bits that can change", $"0x{register.Value:x8}");
            last = offset;
        }
    }

    /// <summary>Gives registers the values of a state that was checked, and all others their power-on values.</summary>
    internal void Restore(IReadOnlyList<RegisterState> registers)
    {
        Reset();
        foreach (RegisterState register in registers)
        {
            Volatile.Write(ref _image[register.Offset >> 2], register.Value);
        }
    }

    private static void SetByte(uint[] registers, int offset, byte value)
    {
        int shift = (offset & 3) * 8;
        ref uint register = ref registers[offset >> 2];
        register = (register & ~(0xffu << shift)) | ((uint)value << shift);
    }
}
