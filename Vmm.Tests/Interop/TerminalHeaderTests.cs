using System;
using Vmm.Machine.Interop;

namespace Vmm.Tests.Interop;

/// <summary>The requests to pseudo-terminals, against the headers.</summary>
public sealed class TerminalHeaderTests
{
    [CompilerFact]
    public void Pseudo_terminals_have_the_headers_constants_and_structure()
    {
        new CHeaderCheck("sys/ioctl.h", "asm/termbits.h")
            .Constants(typeof(TerminalCalls), static name => name.StartsWith('T') || name.StartsWith("FION", StringComparison.Ordinal))
            .Struct<TerminalCalls.termios>("struct termios")
            .Run();
    }
}
