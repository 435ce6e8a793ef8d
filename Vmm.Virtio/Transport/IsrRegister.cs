using System;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Spec;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Transport;

/// <summary>The ISR status byte and the level of the function's pin, which is asserted while a bit is set (virtio 1.2, 4.1.4.5).</summary>
/// <remarks>
/// The lock covers the byte and the call that drives the pin, so that a bit that is set while another thread reads the byte cannot leave the
/// pin at a stale level. Lock order: this, then the pin's.
/// </remarks>
internal sealed class IsrRegister(IInterruptLine pin) : IComponent
{
    private readonly Lock _lock = new();
    private int _value;

    /// <summary>Sets bits and asserts the pin.</summary>
    public void Raise(IsrStatus bits)
    {
        // A bit that is set already will be read after what it stands for: the caller has published that before it came here.
        if ((Volatile.Read(ref _value) & (int)bits) == (int)bits)
        {
            return;
        }

        lock (_lock)
        {
            bool wasClear = _value == 0;
            _value |= (int)bits;
            if (wasClear)
            {
                pin.SetLevel(true);
            }
        }
    }

    /// <summary>Reads the bits, clears them and de-asserts the pin.</summary>
    public IsrStatus ReadAndClear()
    {
        // A bit that is raised while this looks is one that is raised after.
        if (Volatile.Read(ref _value) == 0)
        {
            return 0;
        }

        lock (_lock)
        {
            int value = _value;
            if (value != 0)
            {
                Volatile.Write(ref _value, 0);
                pin.SetLevel(false);
            }

            return (IsrStatus)value;
        }
    }

    public string Name => "isr";

    public void Inspect(InspectionNode node) => node.AddBits("bits", (ulong)Volatile.Read(ref _value), 1);

    public SavedState Save()
    {
        return SavedState.Of(IsrState.Kind, IsrState.Version, new IsrState { Bits = Volatile.Read(ref _value) }, VirtioStateJson.Default.IsrState);
    }

    public Action PrepareRestore(SavedState state)
    {
        IsrState isr = state.Read(IsrState.Kind, IsrState.Version, VirtioStateJson.Default.IsrState);
        SavedState.Require((isr.Bits & ~(int)(IsrStatus.Queue | IsrStatus.Configuration)) == 0, "bits", "bits 0 and 1", isr.Bits);
        return () =>
        {
            ReadAndClear();
            if (isr.Bits != 0)
            {
                Raise((IsrStatus)isr.Bits);
            }
        };
    }
}
