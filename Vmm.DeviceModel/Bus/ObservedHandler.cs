using System;

namespace Vmm.DeviceModel.Bus;

/// <summary>Stands before the handler of a claim that is observed.</summary>
internal sealed class ObservedHandler(Claim claim, IRegionHandler inner, IAccessObserver observer) : IRegionHandler, IFaultContainment
{
    public ulong Read(ulong offset, int width)
    {
        ulong value;
        try
        {
            value = inner.Read(offset, width);
        }
        catch
        {
            Tell(new ObservedAccess(claim, inner, offset, width, IsWrite: false, 0, Failed: true));
            throw;
        }

        Tell(new ObservedAccess(claim, inner, offset, width, IsWrite: false, value & AccessWidth.Mask(width), Failed: false));
        return value;
    }

    public void Write(ulong offset, int width, ulong value)
    {
        Tell(new ObservedAccess(claim, inner, offset, width, IsWrite: true, value, Failed: false));
        try
        {
            inner.Write(offset, width, value);
        }
        catch
        {
            Tell(new ObservedAccess(claim, inner, offset, width, IsWrite: true, value, Failed: true));
            throw;
        }
    }

    public bool TryContain(ulong offset, Exception failure)
    {
        return inner is IFaultContainment container && container.TryContain(offset, failure);
    }

    private void Tell(in ObservedAccess access)
    {
        try
        {
            observer.OnAccess(access);
        }
        catch (Exception e)
        {
            // The device has done nothing wrong.
            claim.Space?.ReportObserver(e);
        }
    }
}
