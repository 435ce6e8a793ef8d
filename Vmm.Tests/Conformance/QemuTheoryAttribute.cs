using Vmm.Tests.Cli;

namespace Vmm.Tests.Conformance;

/// <summary>A test that needs QEMU's own devices; elsewhere skipped with the reason.</summary>
public sealed class QemuTheoryAttribute : TheoryAttribute
{
    public QemuTheoryAttribute()
    {
        Skip = VmmProcess.Find("qemu-system-x86_64") is null ? "qemu-system-x86_64 is not installed" : null;
    }
}
