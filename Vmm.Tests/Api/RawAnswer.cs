namespace Vmm.Tests.Api;

/// <summary>An answer as it came.</summary>
/// <param name="Status">HTTP's; 0 if the connection ended without one.</param>
/// <param name="Head">Status line and headers.</param>
/// <param name="Body">The body.</param>
internal sealed record RawAnswer(int Status, string Head, string Body);
