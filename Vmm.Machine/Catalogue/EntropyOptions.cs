namespace Vmm.Machine.Catalogue;

/// <summary>The virtio entropy device.</summary>
/// <param name="Source">The file or device that its bytes come from.</param>
public sealed record EntropyOptions(string Source = "/dev/urandom") : VirtioOptions;
