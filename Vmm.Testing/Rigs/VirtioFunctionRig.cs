using System;
using System.Collections.Generic;
using Vmm.Testing.Memory;
using Vmm.Testing.Rings;
using Vmm.Testing.Seams;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Testing.Rigs;

/// <summary>A virtio device behind its PCI function on a bus of recording seams, with a raw driver of its registers and rings.</summary>
/// <remarks>For one thread at a time. Nothing is done to the device before the test does it, or calls <see cref="Start"/>.</remarks>
public sealed class VirtioFunctionRig : IDisposable
{
    private readonly VirtioPciStructures _structures;

    /// <summary>Puts the device on a bus; its BARs decode, and it may master the bus.</summary>
    /// <param name="device">The device, disposed with the rig.</param>
    /// <param name="options">Options of its function.</param>
    /// <param name="bus">A bus, disposed with the rig; a new one without it.</param>
    public VirtioFunctionRig(VirtioDevice device, VirtioPciOptions? options = null, PciBusRig? bus = null)
    {
        Pci = new PciFunctionRig(dma => new VirtioPciFunction(device, dma, options ?? new VirtioPciOptions()), bus);
        try
        {
            _structures = VirtioPciStructures.Discover(Pci.Access);
            Common = new CommonConfigurationAccess(Pci.Access, _structures.Common);
            Pci.SetBusMaster(true);
        }
        catch
        {
            Pci.Dispose();
            throw;
        }
    }

    /// <summary>The function, its bus and its seams.</summary>
    public PciFunctionRig Pci { get; }

    /// <summary>The function.</summary>
    public VirtioPciFunction Function => (VirtioPciFunction)Pci.Function;

    /// <summary>Guest RAM of rings and buffers.</summary>
    public GuestRam Ram => Pci.Ram;

    /// <summary>The common configuration, register by register.</summary>
    public CommonConfigurationAccess Common { get; }

    /// <summary>Features that were acknowledged last.</summary>
    public ulong Features { get; private set; }

    /// <summary>The driver's side of each queue that was set up, by index.</summary>
    public SortedList<int, RingDriver> Drivers { get; } = [];

    /// <summary>MSI-X vectors, once <see cref="Start"/> has enabled them: that of the configuration, then one for each queue.</summary>
    public IReadOnlyList<CountingVector> Vectors { get; private set; } = [];

    /// <summary>The pin, once <see cref="Start"/> has enabled it for want of vectors; null otherwise.</summary>
    public CountingVector? Pin { get; private set; }

    /// <summary>Feature bits that are offered.</summary>
    public ulong OfferedFeatures => Common.ReadDeviceFeatures();

    /// <summary>Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK (3.1.1).</summary>
    /// <param name="features">Bits to acknowledge, offered or not.</param>
    /// <returns>False if the device refuses them.</returns>
    /// <exception cref="TimeoutException">The reset does not end.</exception>
    public bool Negotiate(ulong features)
    {
        if (!Common.TryReset(TimeSpan.FromMilliseconds(Eventually.Patience)))
        {
            throw new TimeoutException("the reset does not end");
        }

        Drivers.Clear();
        Common.DeviceStatus = DeviceStatus.Acknowledge;
        Common.DeviceStatus = DeviceStatus.Acknowledge | DeviceStatus.Driver;
        Common.WriteDriverFeatures(features);
        Features = features;
        Common.DeviceStatus = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk;
        return (Common.DeviceStatus & DeviceStatus.FeaturesOk) != 0;
    }

    /// <summary>Places a ring in RAM, tells the device of it, and enables the queue.</summary>
    /// <param name="index">The queue's index.</param>
    /// <param name="vector">Its MSI-X vector; none by default.</param>
    /// <param name="size">Entries; as many as the device has without it.</param>
    /// <returns>The driver's side of the ring.</returns>
    /// <exception cref="InvalidOperationException">There is no such queue.</exception>
    public RingDriver SetUpQueue(int index, ushort vector = VirtioPciIds.NoVector, ushort? size = null)
    {
        Common.QueueSelect = (ushort)index;
        if (Common.QueueSize == 0)
        {
            throw new InvalidOperationException($"there is no queue {index}");
        }

        RingForm form = (Features & RingFeatures.Packed) != 0 ? RingForm.Packed : RingForm.Split;
        var driver = RingDriver.Create(form, Ram, size ?? Common.QueueSize, Features, index);
        Common.QueueSize = driver.Size;
        Common.QueueDescriptors = driver.Descriptors;
        Common.QueueDriver = driver.Driver;
        Common.QueueDevice = driver.Device;
        Common.QueueMsixVector = vector;
        Common.QueueEnable = 1;
        Drivers[index] = driver;
        return driver;
    }

    /// <summary>The whole way to DRIVER_OK, with every queue, and MSI-X with a vector for each if the function has enough, or else its pin.</summary>
    /// <param name="features">Features; all that are offered without it, but for notifications with data.</param>
    /// <returns>The rig itself.</returns>
    /// <exception cref="InvalidOperationException">The device refuses the features, or does not run.</exception>
    public VirtioFunctionRig Start(ulong? features = null)
    {
        if (!Negotiate(features ?? (OfferedFeatures & ~TransportFeatures.NotificationData)))
        {
            throw new InvalidOperationException($"the device refuses the features 0x{Features:x}");
        }

        int queues = Common.NumQueues;
        Pci.Access.DisableInterrupts();
        Vectors = Pci.Access.MessageVectors > queues ? Pci.Access.EnableMessages(queues + 1) : [];
        Pin = Vectors.Count == 0 && Pci.Access.HasPin ? Pci.Access.EnablePin() : null;
        Common.ConfigMsixVector = (ushort)(Vectors.Count != 0 ? 0 : VirtioPciIds.NoVector);
        for (int i = 0; i < queues; i++)
        {
            SetUpQueue(i, (ushort)(Vectors.Count != 0 ? i + 1 : VirtioPciIds.NoVector));
        }

        Common.DeviceStatus |= DeviceStatus.DriverOk;
        return (Common.DeviceStatus & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset)) == DeviceStatus.DriverOk
            ? this
            : throw new InvalidOperationException($"the device does not run: its status is {Common.DeviceStatus}");
    }

    /// <summary>Makes what was added available, and notifies if the device wants that.</summary>
    /// <param name="index">The queue's index.</param>
    public void Kick(int index = 0)
    {
        Drivers[index].Publish();
        if (Drivers[index].NeedsKick())
        {
            Notify(index);
        }
    }

    /// <summary>Notifies, asked for or not, by the queue's index alone.</summary>
    /// <param name="index">The queue's index.</param>
    public void Notify(int index = 0)
    {
        Common.QueueSelect = (ushort)index;
        ulong offset = _structures.Notification.Offset + ((ulong)Common.QueueNotifyOff * _structures.NotifyMultiplier);
        Pci.Access.WriteBar(_structures.Notification.Bar, offset, 2, (uint)index);
    }

    /// <summary>Waits for the next used entry, by the queue's vector or the pin.</summary>
    /// <param name="index">The queue's index.</param>
    /// <returns>Id of the chain, and the bytes that the device says it wrote.</returns>
    /// <exception cref="TimeoutException">None comes within <see cref="Eventually.Patience"/>, or none with an interrupt.</exception>
    public (uint Id, uint Length) WaitUsed(int index = 0)
    {
        RingDriver driver = Drivers[index];
        uint id;
        uint length;
        while (!driver.TryTakeUsed(out id, out length))
        {
            if (!driver.EnableInterrupts() && !WaitInterrupt(index))
            {
                throw new TimeoutException($"queue {index} {(driver.HasUsed ? "has used a chain without an interrupt" : "uses no chain")}");
            }
        }

        return (id, length);
    }

    /// <summary>Reads the ISR byte, which clears it and lets the pin fall; with a pin that is an end of interrupt too.</summary>
    /// <exception cref="InvalidOperationException">The function has no ISR structure.</exception>
    public IsrStatus ReadIsr()
    {
        StructureLocation isr = _structures.Isr ?? throw new InvalidOperationException($"{Function.Name} has no ISR structure");
        var status = (IsrStatus)Pci.Access.ReadBar(isr.Bar, isr.Offset, 1);
        Pci.Access.PinServed();
        return status;
    }

    /// <summary>Adds a chain, makes it available, and waits until the device has used it.</summary>
    /// <param name="index">The queue's index; nothing else is in flight there.</param>
    /// <param name="buffers">The chain: those that the device reads come first.</param>
    /// <returns>Bytes that the device says it wrote.</returns>
    /// <exception cref="TimeoutException">The device does not use it, or does so without an interrupt.</exception>
    public uint Request(int index, params ReadOnlySpan<GuestBuffer> buffers)
    {
        ushort id = Drivers[index].Add(buffers);
        Kick(index);
        (uint used, uint length) = WaitUsed(index);
        return used == id ? length : throw new InvalidOperationException($"queue {index} used chain {used}, which was not made available");
    }

    /// <summary>Disposes the function with its device, its bus and guest RAM.</summary>
    public void Dispose() => Pci.Dispose();

    private bool WaitInterrupt(int index)
    {
        if (Vectors.Count != 0)
        {
            return Vectors[index + 1].Wait(Eventually.Patience);
        }

        if (Pin?.Wait(Eventually.Patience) != true)
        {
            return false;
        }

        ReadIsr();
        return true;
    }
}
