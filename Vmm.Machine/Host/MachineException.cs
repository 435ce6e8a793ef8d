using System;

namespace Vmm.Machine.Host;

/// <summary>
/// The host cannot give what a machine was asked for: a file, memory, a tap, the hypervisor. Thrown at set-up, with everything undone.
/// </summary>
public class MachineException : Exception
{
    /// <summary>The <see cref="Part"/> of a failure that no single option is about, such as one of the hypervisor.</summary>
    public const string Whole = "machine";

    /// <summary>Names the part of the machine, what it was about and why it failed.</summary>
    /// <param name="part">The part in the words of the command line: <c>kernel</c>, <c>disk</c>, <c>memory</c> ..., or <see cref="Whole"/></param>
    /// <param name="subject">The path, name or value that was given, or null.</param>
    /// <param name="reason">What is wrong and, where it is not obvious, what to do. One line.</param>
    /// <param name="inner">The cause, or null.</param>
    public MachineException(string part, string? subject, string reason, Exception? inner = null)
        : base(subject is null ? $"{part}: {reason}" : $"{part} {subject}: {reason}", inner)
    {
        ArgumentException.ThrowIfNullOrEmpty(part);
        Part = part;
        Subject = subject;
        Reason = reason;
    }

    /// <summary>The part of the machine in the words of the command line.</summary>
    public string Part { get; }

    /// <summary>The path, name or value that was given, or null.</summary>
    public string? Subject { get; }

    /// <summary>What is wrong.</summary>
    public string Reason { get; }
}
