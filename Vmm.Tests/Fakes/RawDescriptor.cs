namespace Vmm.Tests.Fakes;

/// <summary>A descriptor as a hostile driver may write it.</summary>
public readonly record struct RawDescriptor(ulong Address, uint Length, int Flags = 0);
