using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace Vmm.Benchmarks.Charts;

/// <summary>Points over two logarithmic axes with a fitted line, as a picture for a page that may be light or dark.</summary>
/// <param name="title">Heads the picture.</param>
/// <param name="across">Names the horizontal axis.</param>
/// <param name="up">Names the vertical axis, with its unit.</param>
internal sealed class LineChart(string title, string across, string up)
{
    private const int Width = 560;
    private const int Height = 340;
    private const int Left = 64;
    private const int Right = 20;
    private const int Top = 44;
    private const int Bottom = 48;

    private readonly List<(string Name, IReadOnlyList<(double X, double Y)> Points)> _lines = [];

    /// <summary>Adds a line.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="points">Its points, all positive.</param>
    public LineChart Add(string name, IReadOnlyList<(double X, double Y)> points)
    {
        _lines.Add((name, points));
        return this;
    }

    /// <summary>The picture as SVG.</summary>
    public override string ToString()
    {
        double[] xs = [.. _lines.SelectMany(static line => line.Points).Select(static point => point.X)];
        double[] ys = [.. _lines.SelectMany(static line => line.Points).Select(static point => point.Y)];
        var horizontal = new LogAxis(xs.Min(), xs.Max(), Left, Width - Right);
        var vertical = new LogAxis(ys.Min(), ys.Max(), Height - Bottom, Top);
        var svg = new StringBuilder(Svg.Begin(Width, Height, title));
        svg.Append(Svg.Text(Width / 2.0, 22, title, "title", "middle"));
        svg.Append(Svg.Text(Width / 2.0, Height - 8, across, "axis", "middle"));
        svg.Append(Svg.Text(8, Top - 12, up, "axis", "start"));
        foreach (double tick in vertical.Ticks)
        {
            svg.Append(Svg.Line(Left, vertical.Place(tick), Width - Right, vertical.Place(tick), "grid"));
            svg.Append(Svg.Text(Left - 6, vertical.Place(tick) + 4, Svg.Number(tick), "axis", "end"));
        }

        foreach (double tick in xs.Distinct())
        {
            svg.Append(Svg.Text(horizontal.Place(tick), Height - Bottom + 16, Svg.Number(tick), "axis", "middle"));
        }

        for (int i = 0; i < _lines.Count; i++)
        {
            (string name, IReadOnlyList<(double X, double Y)> points) = _lines[i];
            string style = $"s{i % Svg.Styles}";
            svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"line {style}\" points=\"");
            svg.Append(string.Join(' ', points.Select(point => Svg.Pair(horizontal.Place(point.X), vertical.Place(point.Y)))));
            svg.Append("\"/>\n");
            foreach ((double x, double y) in points)
            {
                svg.Append(Svg.Dot(horizontal.Place(x), vertical.Place(y), style));
            }

            (double lastX, double lastY) = points[^1];
            svg.Append(Svg.Text(horizontal.Place(lastX), vertical.Place(lastY) - 10, name, style, "end"));
        }

        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>An axis whose ends are powers of two around what is drawn.</summary>
    private sealed class LogAxis(double least, double most, double from, double to)
    {
        private readonly double _low = Math.Floor(Math.Log2(least));
        private readonly double _high = Math.Max(Math.Ceiling(Math.Log2(most)), Math.Floor(Math.Log2(least)) + 1);

        public IEnumerable<double> Ticks
        {
            get
            {
                int step = Math.Max(1, (int)Math.Ceiling((_high - _low) / 8));
                for (double power = _low; power <= _high; power += step)
                {
                    yield return Math.Pow(2, power);
                }
            }
        }

        public double Place(double value) => from + ((to - from) * (Math.Log2(value) - _low) / (_high - _low));
    }
}
