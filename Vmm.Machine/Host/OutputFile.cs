using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;

namespace Vmm.Machine.Host;

/// <summary>The file that the output of a serial port or a console goes to.</summary>
internal static class OutputFile
{
    /// <summary>Opens it, emptied unless it is to be continued.</summary>
    /// <param name="part"><c>serial</c> or <c>console</c>.</param>
    /// <param name="path">Where it is.</param>
    /// <param name="append">It is continued.</param>
    /// <exception cref="MachineException">It cannot be opened.</exception>
    public static FileDescriptor Open(string part, string path, bool append)
    {
        // Without O_NONBLOCK a named pipe that nobody reads would be waited for; with it, it is an error (ENXIO).
        int flags = Libc.O_WRONLY | Libc.O_CREAT | Libc.O_APPEND | Libc.O_NOCTTY | Libc.O_NONBLOCK | (append ? 0 : Libc.O_TRUNC);
        int error = DescriptorIo.Open(path, flags, out FileDescriptor file, DescriptorIo.AnybodysFile);
        return error == 0
            ? file
            : throw new MachineException(part, $"file={path}", $"cannot be opened for writing: {Marshal.GetPInvokeErrorMessage(error)}");
    }
}
