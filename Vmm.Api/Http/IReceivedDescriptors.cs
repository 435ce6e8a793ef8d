using System.Collections.Generic;
using Microsoft.Win32.SafeHandles;

namespace Vmm.Api.Http;

/// <summary>The descriptors that came with the bytes of a connection (SCM_RIGHTS).</summary>
internal interface IReceivedDescriptors
{
    /// <summary>Takes all that have come so far, in their order; they are the caller's from now on.</summary>
    IReadOnlyList<SafeFileHandle> TakeAll();
}
