using Vmm.Virtio.Spec;
using Cfg = Vmm.Virtio.Spec.CommonConfigurationOffset;
using Type = Vmm.Virtio.Spec.VirtioPciCapabilityType;

namespace Vmm.Tests.Conformance;

/// <summary>What makes each check of the identity, the structures, the window and device configuration fail.</summary>
internal static class StructureDefects
{
    public static DefectTable Table { get; } = new()
    {
        { "VTP-ID-VENDOR", d => d.ConfigByte(0, _ => 0x36) },
        { "VTP-ID-DEVICE", d => d.ConfigByte(3, _ => 0x20) },
        { "VTP-ID-MODERN", d => { d.ConfigByte(2, _ => 0x01); d.ConfigByte(3, _ => 0x10); } },
        { "VTP-ID-REVISION", d => d.ConfigByte(8, _ => 0) },
        { "VTP-ID-SUBSYSTEM", d => { d.ConfigByte(0x2e, _ => 1); d.ConfigByte(0x2f, _ => 0); } },

        { "VTP-CAP-COMMON", d => d.ConfigByte(d.Cap(Type.CommonConfiguration) + 8, b => b | 2) },
        { "VTP-CAP-NOTIFY", d => d.ConfigByte(d.Cap(Type.Notification) + 2, _ => 16) },
        { "VTP-CAP-NOTIFY-MULTIPLIER", d => d.ConfigByte(d.Cap(Type.Notification) + 16, _ => 3) },
        { "VTP-CAP-NOTIFY-DATA", "blk,notification_data=on", d => d.ConfigByte(d.Cap(Type.Notification) + 16, _ => 2) },
        { "VTP-CAP-NOTIFY-LENGTH", d => d.Read(Cfg.QueueNotifyOff, _ => 0x7000) },
        { "VTP-CAP-ISR", d => d.ConfigByte(d.Cap(Type.Isr) + 3, _ => 0x20) },
        { "VTP-CAP-DEVICE", d => d.ConfigByte(d.Cap(Type.DeviceConfiguration) + 3, _ => 0x20) },
        { "VTP-CAP-WINDOW", d => d.ConfigByte(d.Cap(Type.PciConfigurationAccess) + 2, _ => 16) },
        { "VTP-CAP-LENGTH", d => d.ConfigByte(d.Cap(Type.Isr) + 2, _ => 8) },
        { "VTP-CAP-BAR", d => d.ConfigByte(d.Cap(Type.Isr) + 4, _ => 5) },
        { "VTP-CAP-INSIDE", d => d.ConfigByte(d.Cap(Type.Isr) + 10, _ => 0x10) },
        { "VTP-CAP-READ-ONLY", d => d.StickyConfig(d.Cap(Type.Isr) + 8, 4) },
        { "VTP-CAP-SHARED-INSIDE", "shared", d => d.ConfigByte(d.Cap(Type.SharedMemory) + 20, _ => 1) },
        { "VTP-CAP-SHARED-ID", "shared", d => d.ConfigByte(d.Cap(Type.SharedMemory, 1) + 5, _ => 1) },
        { "VTP-CAP-VENDOR-DATA", "shared", d => { d.ConfigByte(d.Cap((Type)9) + 4, _ => 0xf4); d.ConfigByte(d.Cap((Type)9) + 5, _ => 0x1a); } },

        { "VTP-WINDOW-FIELDS", d => d.LoseConfig(d.Window + 12) },
        { "VTP-WINDOW-READ-ONLY", d => d.StickyConfig(d.Window, 4) },
        { "VTP-WINDOW-READ", d => d.OnConfigRead = (o, _, v) => o == d.Window + 16 ? v + 1 : v },
        { "VTP-WINDOW-READ-FRESH", StaleWindow },
        { "VTP-WINDOW-WIDTHS", d => d.OnConfigRead = (o, w, v) => (o, w) == (d.Window + 16, 1) ? 0 : v },
        { "VTP-WINDOW-WRITE", d => d.LoseConfig(d.Window + 16) },
        { "VTP-WINDOW-WRITE-WIDTH", d => d.OnConfigWrite = (o, _, v) => { if (o == d.Window + 16) { d.Inner.WriteBar(0, Cfg.QueueSelect, 2, 0xffff); } return v; } },
        { "VTP-WINDOW-ISR", IsrNotCleared },
        { "VTP-WINDOW-NOTIFY", d => d.LoseConfig(d.Window + 16) },
        { "VTP-WINDOW-QUIET", d => d.OnConfigWrite = (o, w, v) => { if (o == d.Window + 12) { d.Inner.ReadBar(0, d.Isr, 1); } return v; } },

        { "VTP-CONFIG-READABLE", EmptyBeforeFeatures },
        { "VTP-CONFIG-LENGTH", d => d.ConfigByte(d.Cap(Type.DeviceConfiguration) + 12, _ => 4) },
        { "VTP-CONFIG-HALVES", d => d.Read(d.Device + 4, _ => 0xffff_ffff) },
        { "VTP-CONFIG-STABLE", OtherAfterReset },
        { "VTP-CONFIG-GENERATION-STABLE", d => { ulong count = 0; d.Read(Cfg.ConfigGeneration, _ => count++ & 0xff); } },
        { "VTP-CONFIG-GENERATION", "net", d => d.Read(Cfg.ConfigGeneration, _ => 0) },
    };

    private static void StaleWindow(DefectiveAccess d)
    {
        uint? first = null;
        d.OnConfigRead = (o, _, v) => o == d.Window + 16 ? first ??= v : v;
    }

    private static void IsrNotCleared(DefectiveAccess d)
    {
        bool read = false;
        d.OnConfigRead = (o, _, v) =>
        {
            read |= o == d.Window + 16 && (v & 1) != 0;
            return v;
        };
        d.Read(d.Isr, v => read ? v | 1 : v);
    }

    private static void EmptyBeforeFeatures(DefectiveAccess d)
    {
        ulong device = d.Device;
        d.OnRead = (o, w, v) => o >= device && o < device + 0x100 && (d.Inner.ReadBar(0, Cfg.DeviceStatus, 1) & (ulong)DeviceStatus.FeaturesOk) == 0
            ? ulong.MaxValue >> (64 - (8 * w))
            : v;
    }

    private static void OtherAfterReset(DefectiveAccess d)
    {
        System.Func<int> resets = d.CountResets();
        d.Read(d.Device, v => resets() > 2 ? v ^ 1 : v);
    }
}
