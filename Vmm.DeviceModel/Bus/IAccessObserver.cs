namespace Vmm.DeviceModel.Bus;

/// <summary>Sees the accesses to claims of an address space (<see cref="AddressSpace.Observer"/>), for a trace, a debugger or a test.</summary>
public interface IAccessObserver
{
    /// <summary>
    /// True if accesses to a claim are to be seen. Asked once each time the claim's place is worked out, under the lock of its space: it must not
    /// wait, throw or change a space. A claim that is not observed costs an access nothing.
    /// </summary>
    /// <param name="claim">A claim with a handler.</param>
    bool Observes(Claim claim);

    /// <summary>
    /// One access: a read after the handler has answered, a write before the handler sees it, and either once more if the handler threw. On the
    /// accessing thread, inside the access, from several threads at once: it must not wait, and changes no address space.
    /// </summary>
    /// <param name="access">The access.</param>
    void OnAccess(in ObservedAccess access);
}
