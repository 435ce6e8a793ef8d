using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace Vmm.Benchmarks.Charts;

/// <summary>Bars from left to right, one a row, with a line at 1: how figures compare with a peer's.</summary>
/// <param name="title">Heads the picture.</param>
/// <param name="unit">Says what a bar's length is.</param>
internal sealed class BarChart(string title, string unit)
{
    private const int Width = 640;
    private const int Left = 260;
    private const int Right = 70;
    private const int Top = 58;
    private const int RowHeight = 22;
    private const int BarHeight = 14;

    private readonly List<(string Name, double Value)> _rows = [];

    /// <summary>Adds a row.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="value">Its figure, positive.</param>
    public BarChart Add(string name, double value)
    {
        _rows.Add((name, value));
        return this;
    }

    /// <summary>The picture as SVG.</summary>
    public override string ToString()
    {
        int height = Top + (_rows.Count * RowHeight) + 16;
        double most = Math.Max(1.2, _rows.Max(static row => row.Value));
        double Place(double value) => Left + ((Width - Left - Right) * value / most);
        var svg = new StringBuilder(Svg.Begin(Width, height, title));
        svg.Append(Svg.Text(Width / 2.0, 22, title, "title", "middle"));
        svg.Append(Svg.Text(Width / 2.0, 40, unit, "axis", "middle"));
        for (int i = 0; i < _rows.Count; i++)
        {
            (string name, double value) = _rows[i];
            double y = Top + (i * RowHeight);
            svg.Append(Svg.Text(Left - 8, y + BarHeight - 2, name, "axis", "end"));
            svg.Append(Svg.Bar(Left, y, Place(value) - Left, BarHeight, value <= 1 ? "s0" : "s1"));
            svg.Append(Svg.Text(Place(value) + 6, y + BarHeight - 2, Svg.Number(value), "axis", "start"));
        }

        svg.Append(Svg.Line(Place(1), Top - 6, Place(1), height - 12, "mark"));
        return svg.Append("</svg>\n").ToString();
    }
}
