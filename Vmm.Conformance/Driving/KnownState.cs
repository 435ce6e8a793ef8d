using System.Collections.Generic;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;

namespace Vmm.Conformance.Driving;

/// <summary>The state that every check finds: as the function was when the run began, decoding memory, silent, and reset.</summary>
internal sealed class KnownState
{
    private const uint Writable = (uint)(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster
        | PciCommand.ParityErrorResponse | PciCommand.SystemError | PciCommand.InterruptDisable);

    private static readonly int[] _saved = [0x0c, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30, 0x3c];

    private readonly IPciFunctionAccess _access;
    private readonly RunLimits _limits;
    private readonly TargetReach _reach;
    private readonly Dictionary<int, uint> _registers = [];
    private readonly SortedSet<int> _usedQueues = [];
    private readonly StructureLocation? _common;
    private readonly uint _command;

    public KnownState(IPciFunctionAccess access, TargetReach reach, RunLimits limits)
    {
        (_access, _reach, _limits) = (access, reach, limits);
        InitialCommand = access.ReadConfiguration(ConfigurationRegisters.Command, 2);
        _command = (InitialCommand & Writable & ~(uint)PciCommand.BusMaster) | (uint)PciCommand.MemorySpace;
        access.WriteConfiguration(ConfigurationRegisters.Command, 2, _command);
        foreach (int register in _saved)
        {
            _registers[register] = access.ReadConfiguration(register, 4);
        }

        Facts = PciFacts.Read(access);
        if (Facts.Msix != 0)
        {
            InitialMessageControl = access.ReadConfiguration(Facts.Msix + 2, 2);
            InitialEntryControls = ReadEntryControls();
        }

        try
        {
            Structures = VirtioPciStructures.Discover(access);
            _common = Structures.Common;
            InitialStatus = (byte)access.ReadBar(Structures.Common.Bar, Structures.Common.Offset + CommonConfigurationOffset.DeviceStatus, 1);
        }
        catch (DriverException)
        {
            // Not a virtio function, or one that hides it: the checks say so.
        }
    }

    /// <summary>Indices of the queues that gave buffers back so far, in order.</summary>
    public IReadOnlyList<int> UsedQueues
    {
        get
        {
            lock (_usedQueues)
            {
                return [.. _usedQueues];
            }
        }
    }

    /// <summary>A queue gave a buffer back; on the thread of the check.</summary>
    public void NoteUsed(int queue)
    {
        // A check that was given up may still run.
        lock (_usedQueues)
        {
            _usedQueues.Add(queue);
        }
    }

    /// <summary>What the function says of itself.</summary>
    public PciFacts Facts { get; }

    /// <summary>
    /// The MSI-X table and the pending bit array can be reached: the way lets them through, and they are where they are said to be.
    /// </summary>
    public bool HasMessageTable => Facts.MsixVectors != 0 && (_reach & TargetReach.MessageTable) != 0
        && Reaches(Facts.MsixTable, 16 * Facts.MsixVectors) && Reaches(Facts.MsixPending, 8 * ((Facts.MsixVectors + 63) / 64));

    /// <summary>Where the virtio structures are, or null.</summary>
    public VirtioPciStructures? Structures { get; }

    /// <summary>The Command register at the beginning.</summary>
    public uint InitialCommand { get; }

    /// <summary>The MSI-X control word at the beginning.</summary>
    public uint InitialMessageControl { get; }

    /// <summary>The vector control words of the table at the beginning.</summary>
    public IReadOnlyList<uint> InitialEntryControls { get; } = [];

    /// <summary>The device status at the beginning.</summary>
    public byte InitialStatus { get; }

    /// <summary>Brings the state back.</summary>
    /// <returns>False if the device does not come back from a reset.</returns>
    public bool TryRestore()
    {
        RestorePower();
        _access.WriteConfiguration(ConfigurationRegisters.Command, 2, _command & ~(uint)PciCommand.MemorySpace);
        foreach ((int register, uint value) in _registers)
        {
            _access.WriteConfiguration(register, 4, value);
        }

        _access.WriteConfiguration(ConfigurationRegisters.Command, 2, _command);
        RestoreWindow();
        bool reset = TryReset();
        _access.DisableInterrupts();
        RestoreMessages();
        _access.WriteConfiguration(ConfigurationRegisters.Command, 2, _command);
        return reset;
    }

    private void RestorePower()
    {
        int power = Facts.Find(CapabilityIds.PowerManagement);
        if (power != 0 && (_access.ReadConfiguration(power + 4, 2) & 3) != 0)
        {
            _access.WriteConfiguration(power + 4, 2, 0);
        }
    }

    private void RestoreWindow()
    {
        if (Facts.Window != 0)
        {
            _access.WriteConfiguration(Facts.Window + 4, 1, 0);
            _access.WriteConfiguration(Facts.Window + 8, 4, 0);
            _access.WriteConfiguration(Facts.Window + 12, 4, 0);
        }
    }

    private bool TryReset()
    {
        if (_common is not { } common)
        {
            return true;
        }

        ulong status = common.Offset + CommonConfigurationOffset.DeviceStatus;
        _access.WriteBar(common.Bar, status, 1, 0);
        if (!Deadline.WaitFor(() => _access.ReadBar(common.Bar, status, 1) == 0, _limits.Reply))
        {
            return false;
        }

        if (Structures!.Isr is { } isr)
        {
            _ = _access.ReadBar(isr.Bar, isr.Offset, 1);
        }

        return true;
    }

    private void RestoreMessages()
    {
        if (Facts.Msix == 0)
        {
            return;
        }

        _access.WriteConfiguration(Facts.Msix + 2, 2, 0);
        for (int i = 0; i < Facts.MsixVectors && HasMessageTable; i++)
        {
            _access.WriteBar(Facts.MsixTable.Bar, Facts.MsixTable.Offset + (uint)(16 * i) + 12, 4, 1);
        }
    }

    private bool Reaches((int Bar, uint Offset) where, int length) =>
        where.Bar <= 5 && GuestRange.Fits(where.Offset, (ulong)length, _access.GetBarLength(where.Bar));

    private List<uint> ReadEntryControls()
    {
        var controls = new List<uint>();
        for (int i = 0; i < Facts.MsixVectors && HasMessageTable; i++)
        {
            controls.Add((uint)_access.ReadBar(Facts.MsixTable.Bar, Facts.MsixTable.Offset + (uint)(16 * i) + 12, 4));
        }

        return controls;
    }
}
