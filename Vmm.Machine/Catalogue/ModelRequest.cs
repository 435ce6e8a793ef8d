using System;
using System.Collections.Generic;

namespace Vmm.Machine.Catalogue;

/// <summary>One request to a virtio device that completes and changes nothing that anybody keeps; it is asked again and again.</summary>
/// <param name="Queue">Index of the queue that takes it.</param>
/// <param name="Bytes">Bytes that the device reads; none where it only writes.</param>
/// <param name="Reply">Bytes that the device has room for, a buffer each; null where it only reads.</param>
public sealed record ModelRequest(int Queue, ReadOnlyMemory<byte> Bytes = default, IReadOnlyList<int>? Reply = null);
