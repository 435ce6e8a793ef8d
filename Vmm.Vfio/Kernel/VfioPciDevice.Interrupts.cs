using System;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.Pci.Access;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <content>Interrupts.</content>
public sealed unsafe partial class VfioPciDevice
{
    private const uint TriggerEvents = VfioConstants.VFIO_IRQ_SET_DATA_EVENTFD | VfioConstants.VFIO_IRQ_SET_ACTION_TRIGGER;

    private readonly BackendInterrupt[] _interrupts = new BackendInterrupt[VfioConstants.VFIO_PCI_NUM_IRQS];
    private readonly bool[] _enabled = new bool[VfioConstants.VFIO_PCI_NUM_IRQS];

    /// <inheritdoc/>
    public BackendInterrupt GetInterrupt(PciInterruptIndex index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)_interrupts.Length, nameof(index));
        return _interrupts[(int)index];
    }

    /// <inheritdoc/>
    public int SetTriggers(PciInterruptIndex index, int start, ReadOnlySpan<EventFd?> triggers)
    {
        BackendInterrupt interrupt = GetInterrupt(index);
        if (start < 0 || triggers.IsEmpty || triggers.Length > interrupt.Count - start)
        {
            throw new ArgumentException(
                $"{triggers.Length} interrupts from {start} are not some of the {interrupt.Count} of kind {index}", nameof(triggers));
        }

        int result = SetInterrupts(TriggerEvents, index, start, triggers);
        if (result < 0)
        {
            string detail = -result switch
            {
                Errno.EINVAL => "another kind of interrupt is enabled, or more cannot be had while these are",
                Errno.ENOSPC or Errno.ENOMEM => "the host has no interrupt vectors left",
                Errno.EBUSY => "the host's interrupt line is shared with a device that cannot share it",
                _ => "refused",
            };
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_SET_IRQS), result, $"cannot enable {triggers.Length} of {index} from {start}: {detail}");
        }

        if (result > 0)
        {
            // Nothing is enabled, and so many vectors are available.
            bool isAnswer = index is PciInterruptIndex.Msi or PciInterruptIndex.Msix
                && start == 0
                && !_enabled[(int)index]
                && result < triggers.Length;
            return isAnswer
                ? result
                : throw Refuse(
                    nameof(VfioRequests.VFIO_DEVICE_SET_IRQS), 0, $"cannot enable {triggers.Length} of {index} from {start}: {result} are available");
        }

        _enabled[(int)index] = true;
        return triggers.Length;
    }

    /// <inheritdoc/>
    public void DisableInterrupts(PciInterruptIndex index)
    {
        _ = GetInterrupt(index);
        if (!_enabled[(int)index])
        {
            return;
        }

        int result = DisableKind(index);
        if (result < 0)
        {
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_SET_IRQS), result, $"cannot disable {index}");
        }

        _enabled[(int)index] = false;
    }

    /// <inheritdoc/>
    public void MaskPin(bool masked)
    {
        uint action = masked ? VfioConstants.VFIO_IRQ_SET_ACTION_MASK : VfioConstants.VFIO_IRQ_SET_ACTION_UNMASK;
        int result = SetNow(action, PciInterruptIndex.Pin, 1);
        if (result < 0)
        {
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_SET_IRQS), result, $"cannot {(masked ? "mask" : "unmask")} the pin");
        }
    }

    /// <inheritdoc/>
    public void SetPinUnmask(EventFd? resample)
    {
        int result = SetInterrupts(
            VfioConstants.VFIO_IRQ_SET_DATA_EVENTFD | VfioConstants.VFIO_IRQ_SET_ACTION_UNMASK, PciInterruptIndex.Pin, 0, [resample]);
        if (result < 0)
        {
            throw Refuse(
                nameof(VfioRequests.VFIO_DEVICE_SET_IRQS), result, "cannot have the pin unmasked by an eventfd; it has to be enabled before");
        }
    }

    private BackendInterrupt ReadInterrupt(PciInterruptIndex index)
    {
        int result = InfoQuery.Ask(File, VfioRequests.VFIO_DEVICE_GET_IRQ_INFO, new vfio_irq_info { index = (uint)index }, out byte[] answer);

        // Kinds that this device cannot have are refused instead of being counted as 0.
        if (result == -Errno.EINVAL)
        {
            return default;
        }

        if (result < 0)
        {
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_GET_IRQ_INFO), result, $"interrupt {index} does not answer");
        }

        vfio_irq_info info = MemoryMarshal.Read<vfio_irq_info>(answer);
        if ((info.flags & VfioConstants.VFIO_IRQ_INFO_EVENTFD) == 0)
        {
            return default;
        }

        int most = index switch { PciInterruptIndex.Msix => 2048, PciInterruptIndex.Msi => 32, _ => 1 };
        if (info.count > (uint)most)
        {
            throw Refuse(
                nameof(VfioRequests.VFIO_DEVICE_GET_IRQ_INFO), 0, $"{info.count} interrupts of kind {index}, where PCI knows at most {most}");
        }

        return new BackendInterrupt(
            (int)info.count, (info.flags & VfioConstants.VFIO_IRQ_INFO_NORESIZE) == 0, (info.flags & VfioConstants.VFIO_IRQ_INFO_AUTOMASKED) != 0);
    }

    private void DisableAllInterrupts()
    {
        for (int i = 0; i < _enabled.Length; i++)
        {
            if (_enabled[i])
            {
                _ = DisableKind((PciInterruptIndex)i);
            }
        }
    }

    private int DisableKind(PciInterruptIndex index) => SetNow(VfioConstants.VFIO_IRQ_SET_ACTION_TRIGGER, index, 0);

    private int SetNow(uint action, PciInterruptIndex index, uint count)
    {
        var set = new vfio_irq_set
        {
            argsz = (uint)sizeof(vfio_irq_set),
            flags = VfioConstants.VFIO_IRQ_SET_DATA_NONE | action,
            index = (uint)index,
            count = count,
        };
        return File.Ioctl(VfioRequests.VFIO_DEVICE_SET_IRQS, new Span<byte>(&set, sizeof(vfio_irq_set)));
    }

    private int SetInterrupts(uint flags, PciInterruptIndex index, int start, ReadOnlySpan<EventFd?> events)
    {
        byte[] set = new byte[sizeof(vfio_irq_set) + (events.Length * sizeof(int))];
        var header = new vfio_irq_set
        {
            argsz = (uint)set.Length,
            flags = flags,
            index = (uint)index,
            start = (uint)start,
            count = (uint)events.Length,
        };
        MemoryMarshal.Write(set, in header);
        for (int i = 0; i < events.Length; i++)
        {
            MemoryMarshal.Write(set.AsSpan(sizeof(vfio_irq_set) + (i * sizeof(int))), events[i]?.Descriptor ?? -1);
        }

        return File.Ioctl(VfioRequests.VFIO_DEVICE_SET_IRQS, set);
    }
}
