using Vmm.Conformance.Driving;
using Vmm.Virtio.Spec;
using static Vmm.Conformance.CheckContext;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Transport;

/// <summary>Mapping events to MSI-X vectors (virtio 1.2, 4.1.5.1.2 to 4.1.5.4).</summary>
internal static class VectorChecks
{
    private const ushort None = VirtioPciIds.NoVector;
    private const Need Needs = Need.Virtio | Need.Msix;

    public static CheckGroup Group { get; } = new("MSI-X vectors of events", "virtio 1.2")
    {
        { "VTP-VECTOR-COUNT", "4.1.5.1.2.1", "A device with MSI-X has at least two vectors", Count, CheckSeverity.Recommendation, Need.Msix },
        { "VTP-VECTOR-CONFIG", "4.1.5.1.2.1", "Configuration changes can be mapped to every vector", Configuration, Needs },
        { "VTP-VECTOR-QUEUE", "4.1.5.1.2.1", "Every queue can be mapped to every vector", Queues, Needs },
        { "VTP-VECTOR-APART", "4.1.5.1.2", "The vectors of different queues are apart", Apart, Needs | Need.TwoQueues },
        { "VTP-VECTOR-UNMAP", "4.1.5.1.2.1", "Events can be unmapped with NO_VECTOR", Unmap, Needs },
        { "VTP-VECTOR-REFUSE", "4.1.5.1.2.1", "A vector outside the table is refused: NO_VECTOR reads back", Refuse, Needs },
        { "VTP-VECTOR-SHARED", "4.1.5.1.2.1", "A queue and configuration changes can share a vector", Shared, Needs | Need.Work },
        { "VTP-VECTOR-USED", "4.1.5.3", "A used buffer sends the message of the queue's vector and no other", UsedBuffer, Needs | Need.Work | Need.TwoVectors },
        { "VTP-VECTOR-CHANGE", "4.1.5.4", "A configuration change sends the message of its vector and no other", Change, Needs | Need.Work | Need.TwoVectors },
        { "VTP-VECTOR-NONE-QUEUE", "4.1.5.3.1", "With NO_VECTOR a queue sends no interrupt while MSI-X is enabled", NoneQueue, Needs | Need.Work },
        { "VTP-VECTOR-NONE-CONFIG", "4.1.5.4.1", "With NO_VECTOR a configuration change sends no interrupt while MSI-X is enabled", NoneConfiguration, Needs | Need.Work },
        { "VTP-VECTOR-REMAP", "4.1.5.1.2", "A queue that is mapped to another vector while the device runs uses that", Remap, Needs | Need.Work | Need.TwoVectors },
        { "VTP-VECTOR-SUPPRESS", "2.7.7.1", "A device asked for no interrupt by flag goes on using buffers", Suppress, Needs | Need.Work },
    };

    private static void Count(CheckContext check) =>
        check.Require(check.Facts.MsixVectors >= 2, "two vectors at least", $"{check.Facts.MsixVectors}");

    private static void Configuration(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        for (int vector = 0; vector < check.Access.MessageVectors; vector++)
        {
            driver.SetVector(Offset.ConfigMsixVector, vector);
        }
    }

    private static void Queues(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        for (int i = 0; i < driver.QueueCount; i++)
        {
            driver.Select(i);
            for (int vector = 0; vector < check.Access.MessageVectors && driver.Get(Offset.QueueSize, 2) != 0; vector++)
            {
                driver.SetVector(Offset.QueueMsixVector, vector);
            }
        }
    }

    private static void Apart(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        driver.Select(0);
        driver.SetVector(Offset.QueueMsixVector, 0);
        driver.Select(1);
        check.Equal("queue_msix_vector of queue 1", None, driver.Get(Offset.QueueMsixVector, 2));
        check.Equal("config_msix_vector", None, driver.Get(Offset.ConfigMsixVector, 2));
    }

    private static void Unmap(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        driver.Select(0);
        foreach (int register in (int[])[Offset.ConfigMsixVector, Offset.QueueMsixVector])
        {
            driver.SetVector(register, 0);
            driver.SetVector(register, None);
        }
    }

    private static void Refuse(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        driver.Select(0);
        foreach (int register in (int[])[Offset.ConfigMsixVector, Offset.QueueMsixVector])
        {
            foreach (uint vector in (uint[])[(uint)check.Facts.MsixVectors, 0x7ff, 0x800, 0xfffe])
            {
                if (vector >= check.Facts.MsixVectors)
                {
                    driver.Set(register, 2, vector);
                    check.Equal(
                        $"{(register == Offset.ConfigMsixVector ? "config" : "queue")}_msix_vector after {Hex(vector)} was written", None,
                        driver.Get(register, 2));
                }
            }
        }
    }

    private static void Shared(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, 0, 0);
        scene.Do();
        scene.AwaitOne(0, "for a used buffer on the shared vector");
        if (scene.TryBreak())
        {
            check.Await(
                () => scene.Messages[0] == 2, "a second interrupt for the configuration change on the shared vector", scene.Messages.ToString);
        }
    }

    private static void UsedBuffer(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, 1, 0);
        scene.Do();
        scene.AwaitOne(1, "of vector 1");
    }

    private static void Change(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, 0, 1);
        scene.Break();
        check.Await(() => scene.Messages[1] >= 1, "an interrupt of vector 1", scene.Messages.ToString);
        check.Equal("interrupts of vector 0", 0, (ulong)scene.Messages[0]);
    }

    private static void NoneQueue(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, None, 0);
        scene.Do();
        scene.Silent("for a queue without a vector");
    }

    private static void NoneConfiguration(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, 0, None);
        scene.Break();
        scene.Silent("for a configuration change without a vector");
    }

    private static void Remap(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, 0);
        scene.Driver.Select(scene.Queue.Index);
        scene.Driver.SetVector(Offset.QueueMsixVector, 1);
        scene.Do();
        scene.AwaitOne(1, "of the vector that the queue was mapped to");
    }

    private static void Suppress(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check);
        scene.Queue.SetAvailableFlags(1);
        scene.Do();
        scene.Do();
        scene.Queue.SetAvailableFlags(0);
        scene.Do();
        check.Await(() => scene.Messages[0] != 0, "an interrupt once they are asked for again", scene.Messages.ToString);
    }

    private static RawDriver Negotiated(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        check.Access.EnableMessages(check.Access.MessageVectors, static _ => { });
        return driver;
    }
}
