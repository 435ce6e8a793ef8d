using System.Collections.Generic;
using System.Globalization;
using Vmm.DeviceModel.State;
using Vmm.Pci.Capabilities;
using Vmm.Pci.State;

namespace Vmm.Pci;

/// <summary>The state that every PCI function has: saved and checked.</summary>
internal static class FunctionStates
{
    public static SavedState Save(PciFunction function)
    {
        var state = new FunctionState
        {
            VendorId = function.Identity.VendorId,
            DeviceId = function.Identity.DeviceId,
            Registers = function.ConfigurationSpace.Save(),
            PinAsserted = function.Intx.IsAsserted,
            Msix = function.Msix?.Save(),
            MsiEnabledCount = function.Msi?.EnabledCount,
            MsiPending = function.Msi?.SavePending(),
        };
        return SavedState.Of(FunctionState.Kind, FunctionState.Version, state, PciStateJson.Default.FunctionState);
    }

    /// <exception cref="StateException">The state is of another function, or has a value that this one cannot have.</exception>
    public static FunctionState Read(PciFunction function, SavedState saved)
    {
        FunctionState state = saved.Read(FunctionState.Kind, FunctionState.Version, PciStateJson.Default.FunctionState);
        PciIdentity identity = function.Identity;
        SavedState.Require(state.VendorId == identity.VendorId, "vendorId", Hex(identity.VendorId, 4), Hex(state.VendorId, 4));
        SavedState.Require(state.DeviceId == identity.DeviceId, "deviceId", Hex(identity.DeviceId, 4), Hex(state.DeviceId, 4));
        SavedState.Require(
            !state.PinAsserted || function.Intx.Pin != Interrupts.InterruptPin.None, "pinAsserted", "no level of a pin that is not there", "true");
        function.ConfigurationSpace.Check(state.Registers);
        CheckMsix(function.Msix, state.Msix);
        CheckMsi(function.Msi, state);
        return state;
    }

    private static void CheckMsix(MsixCapability? msix, IReadOnlyList<VectorState>? vectors)
    {
        SavedState.Require(msix is null == vectors is null, "msix", msix is null ? "nothing" : "vectors", vectors is null ? "nothing" : "vectors");
        int last = -1;
        foreach (VectorState vector in vectors ?? [])
        {
            SavedState.Require(vector is not null, "msix", "vectors", "null");
            SavedState.Require(
                vector!.Index > last && vector.Index < msix!.VectorCount, "msix.index", $"ascending, below {msix!.VectorCount}", vector.Index);
            SavedState.Require((vector.Address & 3) == 0, "msix.address", "a multiple of 4", vector.Address);
            last = vector.Index;
        }
    }

    private static void CheckMsi(MsiCapability? msi, FunctionState state)
    {
        bool has = state.MsiEnabledCount is not null && state.MsiPending is not null;
        SavedState.Require(msi is null != has, "msiEnabledCount", msi is null ? "nothing" : "a count", state.MsiEnabledCount);
        if (msi is null || state.MsiEnabledCount is not { } count || state.MsiPending is not { } pending)
        {
            SavedState.Require(msi is null && state.MsiEnabledCount is null && state.MsiPending is null, "msiPending", "as msiEnabledCount", "else");
            return;
        }

        SavedState.Require(
            count >= 1 && count <= msi.VectorCount && (count & (count - 1)) == 0, "msiEnabledCount", $"a power of two up to {msi.VectorCount}", count);
        int last = -1;
        foreach (int index in pending)
        {
            SavedState.Require(index > last && index < msi.VectorCount, "msiPending", $"ascending, below {msi.VectorCount}", index);
            last = index;
        }
    }

    private static string Hex(uint value, int digits)
    {
        return "0x" + value.ToString("x" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
    }
}
