using System;
using Vmm.Virtio.Spec;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Driving;

/// <summary>A device that runs, with one queue to give it work on and a log of its interrupts.</summary>
internal sealed class WorkScene
{
    private const int NoVector = VirtioPciIds.NoVector;
    private const int RequestDescriptors = 2;

    private readonly CheckContext _check;
    private bool _hearsInterrupts;

    private WorkScene(CheckContext check, RawDriver driver)
    {
        (_check, Driver) = (check, driver);
        Messages = new MessageLog();
    }

    /// <summary>The driver's hands.</summary>
    public RawDriver Driver { get; }

    /// <summary>The queue to work on.</summary>
    public RawQueue Queue { get; private set; } = null!;

    /// <summary>Interrupts: messages by vector, the pin as vector -1.</summary>
    public MessageLog Messages { get; }

    /// <summary>Buffers that were made available.</summary>
    public int Asked { get; private set; }

    /// <summary>Starts a device without interrupts.</summary>
    public static WorkScene Start(CheckContext check, ulong features = 0) => Create(check, features).Run(NoVector, NoVector);

    /// <summary>Starts a device on the INTx pin.</summary>
    public static WorkScene StartWithPin(CheckContext check)
    {
        WorkScene scene = Create(check, 0);
        scene.EnablePin();
        return scene.Run(NoVector, NoVector);
    }

    /// <summary>Starts a device with MSI-X.</summary>
    /// <param name="check">The check.</param>
    /// <param name="queueVector">Vector of the queue.</param>
    /// <param name="configurationVector">Vector of configuration changes.</param>
    public static WorkScene StartWithMessages(CheckContext check, int queueVector = 0, int configurationVector = NoVector)
    {
        WorkScene scene = Create(check, 0);
        scene.EnableMessages();
        return scene.Run(queueVector, configurationVector);
    }

    /// <summary>Starts a device with MSI-X and its queue on vector 0, where the pin would be heard too.</summary>
    public static WorkScene StartWithMessagesAndPin(CheckContext check)
    {
        WorkScene scene = Create(check, 0);
        scene.EnablePin();
        scene.EnableMessages();
        return scene.Run(0, NoVector);
    }

    /// <summary>Gives the device one buffer and tells it.</summary>
    public void Ask()
    {
        _check.Work.Submit(Queue);
        Asked++;
        Driver.Notify(Queue);
    }

    /// <summary>The check says nothing about a queue without room for two requests.</summary>
    public void RequireTwo()
    {
        if (Queue.Size < 2 * RequestDescriptors)
        {
            _check.Skip("the queue has room for one request only");
        }
    }

    /// <summary>Gives the device one buffer and waits until it is used.</summary>
    public void Do()
    {
        Ask();
        AwaitUsed();
    }

    /// <summary>Waits until every buffer is used.</summary>
    public void AwaitUsed() => _check.Await(() => Queue.UsedIndex == (ushort)Asked, $"used index {Asked}", () => $"{Queue.UsedIndex}");

    /// <summary>Makes the ring one that no device can go on with, and tells the device.</summary>
    /// <returns>False if the device does not say DEVICE_NEEDS_RESET.</returns>
    public bool TryBreak()
    {
        Queue.SetAvailableIndex((ushort)(Queue.NextAvailable + Queue.Size + 1));
        Driver.Notify(Queue);
        return Deadline.WaitFor(() => (Driver.Status & DeviceStatus.NeedsReset) != 0, _check.Limits.Reply / 5);
    }

    /// <summary>Makes the ring a broken one; without DEVICE_NEEDS_RESET the check says nothing.</summary>
    public void Break()
    {
        if (!TryBreak())
        {
            _check.Skip("the device does not set DEVICE_NEEDS_RESET when its ring is broken");
        }
    }

    /// <summary>Waits for an interrupt and sees that no other comes.</summary>
    /// <param name="vector">Its vector.</param>
    /// <param name="when">When it is expected.</param>
    public void AwaitOne(int vector, string when)
    {
        _check.Await(() => Messages[vector] >= 1, $"one interrupt {when}", Messages.ToString);
        _check.Never(() => Messages.Total > 1, $"one interrupt {when}", Messages.ToString);
    }

    /// <summary>Sees that no interrupt comes.</summary>
    /// <param name="when">When none is expected.</param>
    public void Silent(string when) => _check.Never(() => Messages.Total != 0, $"no interrupt {when}", Messages.ToString);

    private void EnableMessages()
    {
        _hearsInterrupts = true;
        _check.Access.EnableMessages(Math.Min(2, _check.Access.MessageVectors), Messages.Add);
    }

    private void EnablePin()
    {
        _hearsInterrupts = true;
        _check.Access.EnablePin(() => Messages.Add(-1));
    }

    private static WorkScene Create(CheckContext check, ulong features)
    {
        var driver = new RawDriver(check);
        driver.Negotiate(features);
        return new WorkScene(check, driver);
    }

    private WorkScene Run(int queueVector, int configurationVector)
    {
        if (configurationVector != NoVector)
        {
            Driver.SetVector(Reg.ConfigMsixVector, configurationVector);
        }

        Queue = Driver.SetUpQueue(_check.Work.Queue, queueVector);
        Driver.Start();
        if (_hearsInterrupts)
        {
            ForgetSpurious();
        }

        return this;
    }

    /// <summary>A device may notify for no reason (2.7.7.1): what it does so at its start is none of the interrupts that checks count.</summary>
    private void ForgetSpurious()
    {
        _ = Deadline.WaitFor(static () => false, _check.Limits.Quiet);
        if (Messages.Total != 0)
        {
            Driver.ReadIsr();
            _check.Access.PinServed();
            Messages.Clear();
        }
    }
}
