namespace Vmm.Tests.Fuzz;

/// <summary>What a machine for the random driver is made from; together with a list of operations it is a reproduction.</summary>
/// <param name="Seed">Decides devices, options and operations.</param>
/// <param name="Vcpus">1, or 2 that run at the same time.</param>
/// <param name="Guard">What lies around guest RAM in the host.</param>
internal sealed record FuzzOptions(ulong Seed, int Vcpus, GuardKind Guard)
{
    /// <summary>The options of the n-th machine of a run.</summary>
    public static FuzzOptions Of(ulong runSeed, int machine)
    {
        // SplitMix64, so that neighbouring machines have nothing in common.
        ulong seed = runSeed + ((ulong)machine * 0x9e3779b97f4a7c15);
        seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
        seed = (seed ^ (seed >> 27)) * 0x94d049bb133111eb;
        return new FuzzOptions(seed ^ (seed >> 31), machine % 2 == 0 ? 1 : 2, machine % 4 < 2 ? GuardKind.Pattern : GuardKind.NoAccess);
    }
}
