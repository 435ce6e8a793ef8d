using System;
using System.Collections.Generic;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>CPUID entries to and from the kernel's variable-length structure.</summary>
internal static unsafe class CpuidMarshaller
{
    public static CpuidEntry[] ToEntries(kvm_cpuid2* header)
    {
        var source = new ReadOnlySpan<kvm_cpuid_entry2>(header + 1, (int)header->nent);
        var entries = new CpuidEntry[source.Length];
        for (int i = 0; i < entries.Length; i++)
        {
            ref readonly kvm_cpuid_entry2 entry = ref source[i];
            bool indexed = (entry.flags & KvmConstants.KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0;
            entries[i] = new CpuidEntry(entry.function, entry.index, indexed, entry.eax, entry.ebx, entry.ecx, entry.edx);
        }

        return entries;
    }

    public static int SizeOf(int count) => sizeof(kvm_cpuid2) + (count * sizeof(kvm_cpuid_entry2));

    public static void Fill(IReadOnlyList<CpuidEntry> entries, kvm_cpuid2* header)
    {
        header->nent = (uint)entries.Count;
        header->padding = 0;
        var target = (kvm_cpuid_entry2*)(header + 1);
        for (int i = 0; i < entries.Count; i++)
        {
            CpuidEntry entry = entries[i];
            target[i] = new kvm_cpuid_entry2
            {
                function = entry.Function,
                index = entry.Index,
                flags = entry.IndexIsSignificant ? KvmConstants.KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                eax = entry.Eax,
                ebx = entry.Ebx,
                ecx = entry.Ecx,
                edx = entry.Edx,
            };
        }
    }
}
