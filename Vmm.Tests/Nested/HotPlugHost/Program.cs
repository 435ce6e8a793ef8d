using System;
using System.Linq;
using Vmm.Tests.Nested.HotPlugHost;

// Runs a Linux guest and hot-plugs functions behind its root ports; facts go to stdout as "KEY value", the exit status is 0 if all went well.
//   HotPlugHost kernel=FILE initramfs=FILE console=FILE cmdline=WORDS cpus=N ports=N steps=STEP,STEP... [power=on]
// Steps: disks:PORTSxROUNDS (orderly, all ports at once), net, samples, plain:ROUNDS (surprise, a function without a driver), lost (a disk taken away
// by surprise in the middle of its work). The guest's script runs the same steps and says on its console what it sees.
var words = args.Select(static word => word.Split('=', 2)).ToDictionary(static word => word[0], static word => word[1]);
try
{
    return new HotPlugRun(words).Run() ? 0 : 1;
}
catch (Exception e)
{
    // The guest's console says the rest.
    Console.Error.WriteLine(e);
    return 1;
}
