using System;
using Vmm.Machine.Host;

namespace Vmm.Machine.Boot;

/// <summary>A kernel or an initramfs cannot be loaded: it is not what it should be, or does not fit into guest memory.</summary>
public sealed class KernelLoadException : MachineException
{
    /// <summary>Names the file and the reason.</summary>
    /// <param name="part"><c>kernel</c>, <c>initramfs</c> or <c>cmdline</c>.</param>
    /// <param name="path">The file, or null for the command line.</param>
    /// <param name="reason">What is wrong.</param>
    /// <param name="inner">The cause, or null.</param>
    public KernelLoadException(string part, string? path, string reason, Exception? inner = null)
        : base(part, path, reason, inner)
    {
    }
}
