using System;
using System.Buffers.Binary;
using System.Text;

namespace Vmm.Machine.Acpi;

/// <summary>Writes ACPI machine language (ACPI 6.4, section 20) term by term; blocks get their length when they are closed.</summary>
internal sealed class AmlBuilder
{
    private byte[] _bytes = new byte[8192];
    private int _length;

    /// <summary>Bytes so far.</summary>
    public int Length => _length;

    /// <summary>The finished term list.</summary>
    public byte[] ToArray() => _bytes.AsSpan(0, _length).ToArray();

    /// <summary>DefScope: what follows lies in an existing object.</summary>
    public Block Scope(string path)
    {
        Emit(0x10);
        return Open(() => NamePath(path));
    }

    /// <summary>DefDevice.</summary>
    public Block Device(string name)
    {
        Emit(0x5B, 0x82);
        return Open(() => NamePath(name));
    }

    /// <summary>DefMethod.</summary>
    public Block Method(string name, int arguments, bool serialized = false)
    {
        Emit(0x14);
        return Open(() =>
        {
            NamePath(name);
            Emit((byte)(arguments | (serialized ? 8 : 0)));
        });
    }

    /// <summary>DefPackage of a number of elements that follow.</summary>
    public Block Package(int elements)
    {
        Emit(0x12);
        return Open(() => Emit((byte)elements));
    }

    /// <summary>DefIfElse; the predicate follows, then the body.</summary>
    public Block If()
    {
        Emit(0xA0);
        return Open(null);
    }

    /// <summary>DefElse after a closed If.</summary>
    public Block Else()
    {
        Emit(0xA1);
        return Open(null);
    }

    /// <summary>DefName; the value follows.</summary>
    public AmlBuilder Name(string name)
    {
        Emit(0x08);
        return NamePath(name);
    }

    /// <summary>A reference by name, or the name in a definition. Segments are filled up with underscores.</summary>
    public AmlBuilder NamePath(string path)
    {
        if (path[0] == '\\')
        {
            Emit((byte)'\\');
            path = path[1..];
        }

        string[] segments = path.Split('.');
        if (segments.Length == 2)
        {
            Emit(0x2E);
        }
        else if (segments.Length > 2)
        {
            Emit(0x2F, (byte)segments.Length);
        }

        foreach (string segment in segments)
        {
            if (segment.Length is 0 or > 4)
            {
                throw new ArgumentException($"{segment}: a name has 1 to 4 characters", nameof(path));
            }

            Append(Encoding.ASCII.GetBytes(segment.PadRight(4, '_')));
        }

        return this;
    }

    /// <summary>An integer in its shortest form.</summary>
    public AmlBuilder Integer(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        switch (value)
        {
            case 0 or 1:
                Emit((byte)value);
                break;
            case <= byte.MaxValue:
                Emit(0x0A);
                Append(bytes[..1]);
                break;
            case <= ushort.MaxValue:
                Emit(0x0B);
                Append(bytes[..2]);
                break;
            case <= uint.MaxValue:
                Emit(0x0C);
                Append(bytes[..4]);
                break;
            default:
                Emit(0x0E);
                Append(bytes);
                break;
        }

        return this;
    }

    /// <summary>A compressed EISA identifier such as PNP0A08.</summary>
    public AmlBuilder EisaId(string id)
    {
        if (id.Length != 7)
        {
            throw new ArgumentException($"{id}: three letters and four hexadecimal digits", nameof(id));
        }

        uint value = 0;
        for (int i = 0; i < 3; i++)
        {
            value = (value << 5) | (uint)(id[i] - '@');
        }

        value = (value << 16) | Convert.ToUInt16(id[3..], 16);
        return Integer(BinaryPrimitives.ReverseEndianness(value));
    }

    /// <summary>DefBuffer with its bytes.</summary>
    public AmlBuilder Buffer(ReadOnlySpan<byte> bytes)
    {
        Emit(0x11);
        int length = bytes.Length;
        using (Open(() => Integer((ulong)length)))
        {
            Append(bytes);
        }

        return this;
    }

    /// <summary>A UUID as ToUUID writes it: the first three fields little-endian.</summary>
    public AmlBuilder Uuid(Guid uuid) => Buffer(uuid.ToByteArray());

    /// <summary>Argument 0 to 6 of the method.</summary>
    public AmlBuilder Argument(int index) => Emit((byte)(0x68 + index));

    /// <summary>Local variable 0 to 7 of the method.</summary>
    public AmlBuilder Local(int index) => Emit((byte)(0x60 + index));

    /// <summary>DefReturn; the value follows.</summary>
    public AmlBuilder Return() => Emit(0xA4);

    /// <summary>DefStore; source and target follow.</summary>
    public AmlBuilder Store() => Emit(0x70);

    /// <summary>DefAnd; two operands and the target follow.</summary>
    public AmlBuilder And() => Emit(0x7B);

    /// <summary>DefOr; two operands and the target follow.</summary>
    public AmlBuilder Or() => Emit(0x7D);

    /// <summary>DefLEqual; two operands follow.</summary>
    public AmlBuilder IsEqual() => Emit(0x93);

    /// <summary>DefLNotEqual; two operands follow.</summary>
    public AmlBuilder IsNotEqual() => Emit(0x92, 0x93);

    /// <summary>DefCreateDWordField; buffer, index and name follow.</summary>
    public AmlBuilder CreateDWordField() => Emit(0x8A);

    private AmlBuilder Emit(params ReadOnlySpan<byte> bytes)
    {
        Append(bytes);
        return this;
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        Reserve(bytes.Length);
        bytes.CopyTo(_bytes.AsSpan(_length));
        _length += bytes.Length;
    }

    private void Reserve(int more)
    {
        if (_bytes.Length - _length < more)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _length + more));
        }
    }

    private Block Open(Action? head)
    {
        var block = new Block(this, _length);
        head?.Invoke();
        return block;
    }

    /// <summary>Puts the package length (20.2.4), which counts itself, in front of what was written since.</summary>
    private void Close(int start)
    {
        int content = _length - start;
        int size = content + 1 <= 0x3F ? 1 : content + 2 <= 0xFFF ? 2 : content + 3 <= 0xF_FFFF ? 3 : 4;
        int total = content + size;
        Reserve(size);
        _bytes.AsSpan(start, content).CopyTo(_bytes.AsSpan(start + size));
        _length += size;
        if (size == 1)
        {
            _bytes[start] = (byte)total;
            return;
        }

        _bytes[start] = (byte)(((size - 1) << 6) | (total & 0xF));
        total >>= 4;
        for (int i = 1; i < size; i++, total >>= 8)
        {
            _bytes[start + i] = (byte)total;
        }
    }

    /// <summary>An open term with a length; disposing closes it.</summary>
    public readonly ref struct Block
    {
        private readonly AmlBuilder _builder;
        private readonly int _start;

        internal Block(AmlBuilder builder, int start)
        {
            _builder = builder;
            _start = start;
        }

        /// <summary>Closes the term.</summary>
        public void Dispose() => _builder.Close(_start);
    }
}
