namespace Vmm.Kvm.Interop;

/// <summary>Builds request numbers as asm-generic/ioctl.h does: direction, size, type, number.</summary>
internal static class Ioc
{
    private const uint None = 0;
    private const uint WriteBit = 1;
    private const uint ReadBit = 2;

    public static uint Io(uint type, uint number) => Encode(None, type, number, 0);

    public static uint Ior(uint type, uint number, int size) => Encode(ReadBit, type, number, size);

    public static uint Iow(uint type, uint number, int size) => Encode(WriteBit, type, number, size);

    public static uint Iowr(uint type, uint number, int size) => Encode(ReadBit | WriteBit, type, number, size);

    private static uint Encode(uint direction, uint type, uint number, int size)
    {
        return (direction << 30) | ((uint)size << 16) | (type << 8) | number;
    }
}
