using System.Collections.Generic;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Fuzz;

/// <summary>What a driver knows of a virtio function, found by its capabilities, and where it thinks that it stands.</summary>
internal sealed class FunctionModel
{
    private readonly Dictionary<int, uint> _structures = [];

    public FunctionModel(int index, VirtioPciFunction function)
    {
        Index = index;
        Offered = function.OfferedFeatures;
        Type = (int)function.Device.DeviceType;
        BarSize = function.Bars[0].Size;
        ConfigurationLength = function.Device.ConfigurationLength;
        Queues = new QueueModel[function.Device.QueueSizes.Count];
        for (int i = 0; i < Queues.Length; i++)
        {
            Queues[i] = new QueueModel(index, i, function.Device.QueueSizes[i]);
        }

        for (int at = (int)function.ReadConfiguration(0x34, 1); at != 0; at = (int)function.ReadConfiguration(at + 1, 1))
        {
            switch (function.ReadConfiguration(at, 1))
            {
                case 0x01:
                    PowerManagement = at;
                    break;
                case 0x09:
                    int type = (int)function.ReadConfiguration(at + 3, 1);
                    _structures[type] = function.ReadConfiguration(at + 8, 4);
                    Window = type == 5 ? at : Window;
                    break;
                case 0x10:
                    Express = at;
                    break;
                case 0x11:
                    Msix = at;
                    Vectors = (int)(function.ReadConfiguration(at + 2, 2) & 0x7ff) + 1;
                    Table = function.ReadConfiguration(at + 4, 4) & ~7u;
                    break;
            }
        }
    }

    public int Index { get; }

    public ulong Offered { get; }

    /// <summary>Virtio device type.</summary>
    public int Type { get; }

    public ulong BarSize { get; }

    public int ConfigurationLength { get; }

    public QueueModel[] Queues { get; }

    /// <summary>Offsets of capabilities; 0 where there is none.</summary>
    public int PowerManagement { get; }

    public int Express { get; }

    public int Window { get; }

    public int Msix { get; }

    public int Vectors { get; }

    public uint Table { get; }

    public uint Common => _structures[(int)VirtioPciCapabilityType.CommonConfiguration];

    public uint Isr => _structures[(int)VirtioPciCapabilityType.Isr];

    public uint Notify => _structures[(int)VirtioPciCapabilityType.Notification];

    public uint Configuration => _structures.GetValueOrDefault((int)VirtioPciCapabilityType.DeviceConfiguration);

    /// <summary>What is to be done next.</summary>
    public Queue<FuzzOperation> Plan { get; } = new();

    /// <summary>What was acknowledged last.</summary>
    public ulong Features { get; set; }

    /// <summary>The driver thinks that the device runs.</summary>
    public bool IsRunning { get; set; }
}
