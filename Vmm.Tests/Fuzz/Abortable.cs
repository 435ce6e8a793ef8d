using System;
using System.Threading;

namespace Vmm.Tests.Fuzz;

/// <summary>Runs code that can be stopped from outside, for its stack.</summary>
internal static class Abortable
{
    /// <summary>Runs an action; its exception or, if it was stopped, the place where it was comes back as text.</summary>
    public static string? Run(Action action, CancellationToken stop)
    {
        string? result = null;
        try
        {
#pragma warning disable SYSLIB0046 // Only on the way to a failed test, of a thread that hangs.
            System.Runtime.ControlledExecution.Run(() => result = Catch(action), stop);
#pragma warning restore SYSLIB0046
        }
        catch (OperationCanceledException)
        {
            result ??= "stopped";
        }

        return result;
    }

    private static string? Catch(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (ThreadAbortException stopped)
        {
            return $"it was at\n{stopped.StackTrace}";
        }
        catch (Exception thrown)
        {
            return thrown.ToString();
        }
    }
}
