using Vmm.Cli;

return VmmCommand.Run(args);
