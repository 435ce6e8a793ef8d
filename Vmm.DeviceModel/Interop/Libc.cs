namespace Vmm.DeviceModel.Interop;

/// <summary>The C library's calls that we make, with its names; one binding for all assemblies.</summary>
/// <remarks>Nothing here is retried. Numbers are those of Linux on x86-64 and arm64.</remarks>
internal static unsafe partial class Libc
{
    private const string Library = "libc";
}
