using System;
using System.IO;
using System.Text;
using Vmm.DeviceModel.Registers;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Documentation;

/// <summary>docs/registers.md is printed from the tables that dispatch; run with VMMDEVICES_UPDATE_DOCS=1 to print it anew.</summary>
public sealed class RegisterTablesTests
{
    [Fact]
    public void The_documentation_shows_the_registers_as_they_are()
    {
        var text = new StringBuilder("# Register blocks\n\nPrinted from the tables that dispatch the accesses.\n");
        text.Append("\n## virtio-pci common configuration (virtio 1.2, 4.1.4.3)\n\n");
        text.Append(RegisterTable.ToMarkdown(VirtioTransport.CommonConfiguration));

        string path = Repository.PathOf("docs/registers.md");
        if (Environment.GetEnvironmentVariable("VMMDEVICES_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, text.ToString());
        }

        File.ReadAllText(path).Should().Be(text.ToString(), "docs/registers.md is printed by this test (VMMDEVICES_UPDATE_DOCS=1)");
    }
}
