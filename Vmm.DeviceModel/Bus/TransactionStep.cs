namespace Vmm.DeviceModel.Bus;

/// <summary>What a step of a transaction does.</summary>
internal enum TransactionStepKind
{
    Add,
    Move,
    Remove,
}

/// <summary>One step of a transaction.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Claim">To which claim.</param>
/// <param name="Base">The new first address; not used by a removal or a doorbell.</param>
internal readonly record struct TransactionStep(TransactionStepKind Kind, Claim Claim, ulong Base);
