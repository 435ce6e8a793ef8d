using System;
using System.Collections.Generic;

namespace Vmm.Benchmarks.Scale;

/// <summary>How figures grow with a size: the exponent of the power that fits them best, by least squares of the logarithms.</summary>
internal static class PowerFit
{
    /// <summary>The exponent: 0 for a cost that does not grow, 1 for one that is proportional.</summary>
    /// <param name="points">Size and figure, at least two, all positive.</param>
    public static double Exponent(IReadOnlyList<(double X, double Y)> points)
    {
        double sumX = 0;
        double sumY = 0;
        double sumXX = 0;
        double sumXY = 0;
        foreach ((double px, double py) in points)
        {
            (double x, double y) = (Math.Log(px), Math.Log(py));
            sumX += x;
            sumY += y;
            sumXX += x * x;
            sumXY += x * y;
        }

        return ((points.Count * sumXY) - (sumX * sumY)) / ((points.Count * sumXX) - (sumX * sumX));
    }
}
