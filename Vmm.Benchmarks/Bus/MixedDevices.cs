using Vmm.DeviceModel.Bus;

namespace Vmm.Benchmarks.Bus;

/// <summary>Eight types of the same body, as a machine has: what a call site costs that sees many types.</summary>
internal static class MixedDevices
{
    public static Body Create(int index)
    {
        return (index & 7) switch
        {
            0 => new Device0(),
            1 => new Device1(),
            2 => new Device2(),
            3 => new Device3(),
            4 => new Device4(),
            5 => new Device5(),
            6 => new Device6(),
            _ => new Device7(),
        };
    }

    internal abstract class Body : IRegionHandler
    {
        private readonly uint[] _registers = new uint[16];

        public abstract ulong Read(ulong offset, int width);

        public abstract void Write(ulong offset, int width, ulong value);

        protected ulong Get(ulong offset, int width) => width == 4 ? _registers[(int)(offset >> 2) & 15] : 0;

        protected void Set(ulong offset, int width, ulong value)
        {
            if (width == 4)
            {
                _registers[(int)(offset >> 2) & 15] = (uint)value;
            }
        }
    }

    private sealed class Device0 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }

    private sealed class Device1 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }

    private sealed class Device2 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }

    private sealed class Device3 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }

    private sealed class Device4 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }

    private sealed class Device5 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }

    private sealed class Device6 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }

    private sealed class Device7 : Body
    {
        public override ulong Read(ulong offset, int width) => Get(offset, width);

        public override void Write(ulong offset, int width, ulong value) => Set(offset, width, value);
    }
}
