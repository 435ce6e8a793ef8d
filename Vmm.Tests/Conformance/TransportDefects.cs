using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Vmm.Virtio.Spec;
using Cfg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Conformance;

/// <summary>What makes each check of the common configuration, of negotiation, reset and notification fail.</summary>
internal static class TransportDefects
{
    private const ulong None = 0xffff;

    public static DefectTable Table { get; } = new()
    {
        { "VTP-COMMON-DEVICE-SELECT", d => d.Read(Cfg.DeviceFeatureSelect, _ => 0) },
        { "VTP-COMMON-DRIVER-SELECT", d => d.Read(Cfg.DriverFeatureSelect, _ => 0) },
        { "VTP-COMMON-SELECTS-APART", d => AlsoWrites(d, Cfg.DriverFeatureSelect, Cfg.DeviceFeatureSelect, 4) },
        { "VTP-COMMON-QUEUE-SELECT", d => d.Read(Cfg.QueueSelect, _ => 5) },
        { "VTP-COMMON-NUM-QUEUES", d => d.Read(Cfg.NumQueues, _ => 0) },
        { "VTP-COMMON-READ-ONLY", d => d.Sticky(Cfg.NumQueues) },
        { "VTP-COMMON-QUEUE-ABSENT", d => d.Read(Cfg.QueueSize, v => v == 0 ? 256 : v) },
        { "VTP-COMMON-QUEUE-BACK", ShrunkBySelect },
        { "VTP-COMMON-SIZE-POWER", d => d.Read(Cfg.QueueSize, v => v == 0 ? v : 100) },
        { "VTP-COMMON-SIZE-LIMIT", d => d.Read(Cfg.QueueSize, v => v == 0 ? v : 40000) },
        { "VTP-COMMON-SIZE-REDUCE", d => d.Write(Cfg.QueueSize, _ => null) },
        { "VTP-COMMON-SIZE-REFUSE", d => d.Sticky(Cfg.QueueSize) },
        { "VTP-COMMON-SIZE-MAXIMUM", d => d.Sticky(Cfg.QueueSize) },
        { "VTP-COMMON-ADDRESSES", d => d.Write(Cfg.QueueDevice, v => { d.Inner.WriteBar(0, Cfg.QueueDriver, 4, v); return null; }) },
        { "VTP-COMMON-HALVES", d => d.Write(Cfg.QueueDescriptors + 4, v => { d.Inner.WriteBar(0, Cfg.QueueDescriptors, 4, 0); return v; }) },
        { "VTP-COMMON-QUEUES-APART", "net", d => d.Write(Cfg.QueueDescriptors, v => { d.With(0, () => d.Inner.WriteBar(0, Cfg.QueueDescriptors, 4, v)); return v; }) },
        { "VTP-COMMON-ENABLE", d => d.Read(Cfg.QueueEnable, _ => 0) },
        { "VTP-COMMON-ENABLE-APART", "net", d => d.Sticky(Cfg.QueueEnable) },
        { "VTP-COMMON-LITTLE-ENDIAN", d => d.Feature(1, v => System.Buffers.Binary.BinaryPrimitives.ReverseEndianness((uint)v)) },

        { "VTP-FEATURE-VERSION", d => d.Feature(1, v => v & ~1UL) },
        { "VTP-FEATURE-RESERVED", d => d.Feature(0, v => v | 0x8000_0000) },
        { "VTP-FEATURE-SR-IOV", d => d.Feature(1, v => v | 0x20) },
        { "VTP-FEATURE-DEPENDENCIES", "net", d => d.Feature(0, v => v & ~(1UL << 17)) },
        { "VTP-FEATURE-BANKS", d => d.Write(Cfg.DeviceFeatureSelect, v => v >= 4 ? v & 1 : v) },
        { "VTP-FEATURE-BANKS-NEXT", d => d.Write(Cfg.DeviceFeatureSelect, v => v & 1) },
        { "VTP-FEATURE-BANK-WRITE", d => d.Write(Cfg.DriverFeatureSelect, v => v & 1) },
        { "VTP-FEATURE-READ-BACK", d => d.Read(Cfg.DriverFeature, _ => 0) },
        { "VTP-FEATURE-BANKS-APART", BanksCoupled },
        { "VTP-FEATURE-STABLE", d => { Func<int> resets = d.CountResets(); d.Feature(0, v => resets() > 2 ? v ^ 4 : v); } },
        { "VTP-FEATURE-LEAST", d => d.Write(Cfg.DeviceStatus, v => v & ~8UL) },
        { "VTP-FEATURE-EVERY", RefuseLowFeatures },
        { "VTP-FEATURE-UNOFFERED", MirrorFeatures },
        { "VTP-FEATURE-FROZEN", MirrorFeatures },
        { "VTP-FEATURE-AGAIN", NegotiateOnce },
        { "VTP-FEATURE-OTHER", NegotiateOnce },

        { "VTP-STATUS-INITIAL", d => { bool written = false; d.Read(Cfg.DeviceStatus, v => written ? v : 1); d.Write(Cfg.DeviceStatus, v => { written = true; return v; }); } },
        { "VTP-STATUS-STEPS", d => d.Write(Cfg.DeviceStatus, v => v == 1 ? null : v) },
        { "VTP-STATUS-KEEPS", Decaying },
        { "VTP-STATUS-FAILED", d => d.Read(Cfg.DeviceStatus, v => v & ~0x80UL) },
        { "VTP-STATUS-EARLY", EarlyStart },
        { "VTP-STATUS-EARLY-QUIET", d => d.OnConfigWrite = (o, _, v) => { if (o == 4 && (v & 4) != 0) { d.Tell(0); } return v; } },
        { "VTP-STATUS-WORK", d => d.OnNotify(() => false) },
        { "VTP-STATUS-BEFORE", d => d.Write(Cfg.DeviceStatus, v => { if ((v & 4) != 0) { d.Buffers[^1].Span[0x1002] = 0; } return v; }) },
        { "VTP-STATUS-MANY", d => { int count = 0; d.OnNotify(() => ++count <= 10); } },
        { "VTP-STATUS-NEEDS-RESET", d => d.Read(Cfg.DeviceStatus, v => v & ~0x40UL) },
        { "VTP-STATUS-NEEDS-RESET-TOLD", d => d.OnMessage = _ => null },

        { "VTP-RESET-STATUS", d => d.Write(Cfg.DeviceStatus, v => v == 0 ? null : v) },
        { "VTP-RESET-RUNNING", d => d.Write(Cfg.DeviceStatus, v => v == 0 && (Status(d) & DeviceStatus.DriverOk) != 0 ? null : v) },
        { "VTP-RESET-BROKEN", d => d.Write(Cfg.DeviceStatus, v => v == 0 && (Status(d) & DeviceStatus.NeedsReset) != 0 ? null : v) },
        { "VTP-RESET-IN-FLIGHT", LateReset },
        { "VTP-RESET-QUIET", FalseReset },
        { "VTP-RESET-SILENT", FalseReset },
        { "VTP-RESET-RESTART", StartOnce },
        { "VTP-RESET-QUEUE-ENABLE", d => d.Read(Cfg.QueueEnable, _ => 1) },
        { "VTP-RESET-QUEUE-SIZE", d => d.Sticky(Cfg.QueueSize) },
        { "VTP-RESET-VECTORS", d => d.Read(Cfg.ConfigMsixVector, v => v == None ? 0 : v) },
        { "VTP-RESET-ADDRESSES", d => d.Sticky(Cfg.QueueDescriptors) },
        { "VTP-RESET-FEATURES", d => d.Sticky(Cfg.DriverFeature) },
        { "VTP-RESET-ISR", d => d.Read(d.Isr, v => v | 1) },
        { "VTP-RESET-QUEUE-COUNT", d => { Func<int> resets = d.CountResets(); d.Read(Cfg.NumQueues, v => resets() > 2 ? v + 1 : v); } },

        { "VTP-QRESET-INITIAL", d => d.Read(Cfg.QueueReset, _ => 1) },
        { "VTP-QRESET-COMPLETES", d => d.Read(Cfg.QueueReset, _ => 1) },
        { "VTP-QRESET-DISABLES", d => d.Read(Cfg.QueueEnable, _ => 1) },
        { "VTP-QRESET-STOPS", d => d.Write(Cfg.QueueReset, _ => null) },
        { "VTP-QRESET-SILENT", d => d.Write(Cfg.QueueReset, _ => null) },
        { "VTP-QRESET-ENABLE", d => d.Write(Cfg.QueueReset, _ => null) },
        { "VTP-QRESET-SIZE", OldSizeAfterQueueReset },
        { "VTP-QRESET-CLEARS", ResettingAfterEnable },
        { "VTP-QRESET-AGAIN", d => { int count = 0; d.Write(Cfg.QueueReset, v => ++count > 1 ? null : v); } },
        { "VTP-QRESET-OTHERS", "net", d => d.Write(Cfg.QueueReset, v => { d.With(1, () => d.Inner.WriteBar(0, Cfg.QueueReset, 2, 1)); return v; }) },
        { "VTP-QRESET-STATUS", d => { bool reset = false; d.Write(Cfg.QueueReset, v => { reset = true; return v; }); d.Read(Cfg.DeviceStatus, v => reset ? v & ~4UL : v); } },

        { "VTP-VECTOR-COUNT", d => d.ConfigByte(d.Msix + 2, _ => 0) },
        { "VTP-VECTOR-CONFIG", d => d.Read(Cfg.ConfigMsixVector, _ => None) },
        { "VTP-VECTOR-QUEUE", d => d.Read(Cfg.QueueMsixVector, _ => None) },
        { "VTP-VECTOR-APART", "net", d => AlsoWrites(d, Cfg.QueueMsixVector, Cfg.ConfigMsixVector, 2) },
        { "VTP-VECTOR-UNMAP", d => d.Write(Cfg.ConfigMsixVector, v => v == None ? null : v) },
        { "VTP-VECTOR-REFUSE", d => d.Sticky(Cfg.ConfigMsixVector) },
        { "VTP-VECTOR-SHARED", d => { int count = 0; d.OnMessage = v => ++count == 1 ? v : null; } },
        { "VTP-VECTOR-USED", d => d.OnMessage = _ => 0 },
        { "VTP-VECTOR-CHANGE", d => d.OnMessage = _ => 0 },
        { "VTP-VECTOR-NONE-QUEUE", d => d.OnNotify(() => { d.Tell(0); return true; }) },
        { "VTP-VECTOR-NONE-CONFIG", d => d.OnNotify(() => { d.Tell(0); return true; }) },
        { "VTP-VECTOR-REMAP", VectorFixed },
        { "VTP-VECTOR-SUPPRESS", d => d.OnNotify(() => d.Buffers[^1].Span[0x1000] == 0) },

        { "VTP-NOTIFY-WRITE", d => d.OnNotify(() => false) },
        { "VTP-NOTIFY-AGAIN", d => { int count = 0; d.OnNotify(() => ++count > 0); d.Read(Cfg.DeviceStatus, v => count >= 4 ? v | 0x40 : v); } },
        { "VTP-NOTIFY-SEVERAL", d => d.OnNotify(() => { d.Buffers[^1].Span[0x1002] = 1; return true; }) },
        { "VTP-NOTIFY-DATA", "blk,notification_data=on", d => d.OnNotify(() => false) },
        { "VTP-ISR-INITIAL", d => d.Read(d.Isr, v => v | 1) },
        { "VTP-ISR-QUEUE", d => d.Read(d.Isr, v => v & ~1UL) },
        { "VTP-ISR-CONFIG", d => d.Read(d.Isr, v => v & ~2UL) },
        { "VTP-ISR-CLEAR", d => d.Read(d.Isr, v => v | 1) },
        { "VTP-ISR-RESERVED", d => d.Read(d.Isr, v => v == 0 ? v : v | 0x10) },
        { "VTP-ISR-STATUS", d => d.ConfigByte(6, b => b & ~8u) },
        { "VTP-ISR-AGAIN", d => { bool read = false; d.Read(d.Isr, v => read ? 0 : (read = v != 0) ? v : 0); } },
    };

    private static DeviceStatus Status(DefectiveAccess d) => (DeviceStatus)d.Inner.ReadBar(0, Cfg.DeviceStatus, 1);

    private static void AlsoWrites(DefectiveAccess d, int at, int other, int width) => d.Write((ulong)at, v =>
    {
        d.Inner.WriteBar(0, (ulong)other, width, v);
        return v;
    });

    private static void ShrunkBySelect(DefectiveAccess d)
    {
        bool selected = false;
        d.Write(Cfg.QueueSelect, v =>
        {
            selected |= v != 0;
            return v;
        });
        d.Read(Cfg.QueueSize, v => selected ? v / 2 : v);
    }

    private static void BanksCoupled(DefectiveAccess d) => d.Write(Cfg.DriverFeature, v =>
    {
        if (v == 0 && d.Inner.ReadBar(0, Cfg.DriverFeatureSelect, 4) == 0)
        {
            d.Inner.WriteBar(0, Cfg.DriverFeatureSelect, 4, 1);
            d.Inner.WriteBar(0, Cfg.DriverFeature, 4, 0);
            d.Inner.WriteBar(0, Cfg.DriverFeatureSelect, 4, 0);
        }

        return v;
    });

    private static void RefuseLowFeatures(DefectiveAccess d) => d.Write(Cfg.DeviceStatus, v =>
    {
        d.Inner.WriteBar(0, Cfg.DriverFeatureSelect, 4, 0);
        return d.Inner.ReadBar(0, Cfg.DriverFeature, 4) != 0 ? v & ~8UL : v;
    });

    /// <summary>Shows whatever the driver accepted, and lets FEATURES_OK pass.</summary>
    private static void MirrorFeatures(DefectiveAccess d)
    {
        var written = new Dictionary<ulong, ulong>();
        d.Write(Cfg.DriverFeature, v =>
        {
            ulong bank = d.Inner.ReadBar(0, Cfg.DriverFeatureSelect, 4);
            d.Inner.WriteBar(0, Cfg.DeviceFeatureSelect, 4, bank);
            written[bank] = v;
            return v & d.Inner.ReadBar(0, Cfg.DeviceFeature, 4);
        });
        d.Read(Cfg.DriverFeature, v => written.GetValueOrDefault(d.Inner.ReadBar(0, Cfg.DriverFeatureSelect, 4), v));
    }

    private static void NegotiateOnce(DefectiveAccess d)
    {
        bool done = false;
        d.Write(Cfg.DeviceStatus, v =>
        {
            ulong result = done ? v & ~8UL : v;
            done |= v == 0 && (Status(d) & DeviceStatus.FeaturesOk) != 0;
            return result;
        });
    }

    private static void Decaying(DefectiveAccess d)
    {
        int reads = 0;
        d.Read(Cfg.DeviceStatus, v => (v & 4) != 0 && ++reads > 3 ? v & ~1UL : v);
    }

    /// <summary>Starts when a queue is enabled, says nothing of it, and looks at the queue a little later.</summary>
    private static void EarlyStart(DefectiveAccess d)
    {
        d.Write(Cfg.QueueEnable, v =>
        {
            d.Inner.WriteBar(0, Cfg.QueueEnable, 2, v);
            d.Inner.WriteBar(0, Cfg.DeviceStatus, 1, 0x0f);
            return null;
        });
        d.Read(Cfg.DeviceStatus, v => v & ~4UL);
        ulong notify = d.Notify;
        d.OnConfigWrite = (o, _, v) =>
        {
            if (o == 4 && (v & 4) != 0)
            {
                Later(() => d.Inner.WriteBar(0, notify, 2, 0));
            }

            return v;
        };
    }

    private static void Later(Action action) => Task.Delay(20).ContinueWith(_ => action(), TaskScheduler.Default);

    /// <summary>Says 0 after a reset and goes on as before.</summary>
    private static void FalseReset(DefectiveAccess d)
    {
        bool reset = false;
        d.Write(Cfg.DeviceStatus, v =>
        {
            reset = v == 0;
            return reset && (Status(d) & DeviceStatus.DriverOk) != 0 ? null : v;
        });
        d.Read(Cfg.DeviceStatus, v => reset ? 0 : v);
    }

    /// <summary>Holds notifications back, and serves the queue after what it says is a reset.</summary>
    private static void LateReset(DefectiveAccess d)
    {
        FalseReset(d);
        d.OnNotify(() => false);
        ulong notify = d.Notify;
        Func<ulong, int, ulong, ulong?> before = d.OnWrite;
        d.OnWrite = (o, w, v) =>
        {
            if (o == Cfg.DeviceStatus && v == 0 && (Status(d) & DeviceStatus.DriverOk) != 0)
            {
                Later(() => d.Inner.WriteBar(0, notify, 2, 0));
            }

            return before(o, w, v);
        };
    }

    private static void StartOnce(DefectiveAccess d)
    {
        int starts = 0;
        d.Write(Cfg.DeviceStatus, v => (v & 4) != 0 && ++starts > 1 ? v & ~4UL : v);
    }

    private static void OldSizeAfterQueueReset(DefectiveAccess d)
    {
        bool reset = false;
        d.Write(Cfg.QueueReset, v =>
        {
            reset = true;
            return v;
        });
        d.Write(Cfg.QueueSize, v => reset ? null : v);
    }

    private static void ResettingAfterEnable(DefectiveAccess d)
    {
        bool reset = false;
        bool enabled = false;
        d.Write(Cfg.QueueReset, v =>
        {
            reset = true;
            return v;
        });
        d.Write(Cfg.QueueEnable, v =>
        {
            enabled = reset;
            return v;
        });
        d.Read(Cfg.QueueReset, v => enabled ? 1 : v);
    }

    /// <summary>Takes another vector while it runs, shows it, and goes on with the first.</summary>
    private static void VectorFixed(DefectiveAccess d)
    {
        ulong shown = None;
        d.Write(Cfg.QueueMsixVector, v =>
        {
            shown = v;
            return (Status(d) & DeviceStatus.DriverOk) != 0 ? null : v;
        });
        d.Read(Cfg.QueueMsixVector, _ => shown);
    }
}
