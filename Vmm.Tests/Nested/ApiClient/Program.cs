using System;
using System.Linq;
using Vmm.Tests.Nested.ApiClient;

// Starts vmm by the name cloud-hypervisor and asks its API as that program's clients do, byte by byte; facts go to stdout as "KEY value", what the
// guest says to the file "console", and the exit status is 0 if all went well.
//   ApiClient client=libvirt|kata vmm=FILE kernel=FILE initramfs=FILE cmdline=WORDS disk=FILE
var words = args.Select(static word => word.Split('=', 2)).ToDictionary(static word => word[0], static word => word[1]);
try
{
    switch (words["client"])
    {
        case "libvirt":
            new LibvirtRun(words).Run();
            return 0;
        case "kata":
            await new KataRun(words).RunAsync();
            return 0;
        case var unknown:
            throw new ArgumentException($"no client is called {unknown}");
    }
}
catch (Exception e)
{
    // The guest's console says the rest.
    Console.Error.WriteLine(e);
    return 1;
}
