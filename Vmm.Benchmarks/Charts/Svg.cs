using System.Globalization;
using System.Security;

namespace Vmm.Benchmarks.Charts;

/// <summary>The elements that charts are made of, with colours that follow the page they are on.</summary>
internal static class Svg
{
    /// <summary>Colours that differ, named <c>s0</c> and on.</summary>
    public const int Styles = 3;

    private const string Colours = """
        <style>
        text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 }
        .grid { stroke: #d0d7de } .mark { stroke: #24292f; stroke-dasharray: 4 3 } .line { fill: none; stroke-width: 2 }
        .s0 { fill: #0969da; stroke: #0969da } .s1 { fill: #bc4c00; stroke: #bc4c00 } .s2 { fill: #1a7f37; stroke: #1a7f37 }
        .line.s0, .line.s1, .line.s2 { fill: none } text.s0, text.s1, text.s2 { stroke: none }
        @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3 } .grid { stroke: #30363d } .mark { stroke: #e6edf3 }
        .s0 { fill: #58a6ff; stroke: #58a6ff } .s1 { fill: #f0883e; stroke: #f0883e } .s2 { fill: #3fb950; stroke: #3fb950 }
        .line.s0, .line.s1, .line.s2 { fill: none } }
        </style>

        """;

    public static string Begin(int width, int height, string title) =>
        Invariant($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n")
        + $"<title>{SecurityElement.Escape(title)}</title>\n{Colours}";

    public static string Text(double x, double y, string text, string style, string anchor) =>
        Invariant($"<text x=\"{x:F1}\" y=\"{y:F1}\" class=\"{style}\" text-anchor=\"{anchor}\">{SecurityElement.Escape(text)}</text>\n");

    public static string Line(double x1, double y1, double x2, double y2, string style) =>
        Invariant($"<line x1=\"{x1:F1}\" y1=\"{y1:F1}\" x2=\"{x2:F1}\" y2=\"{y2:F1}\" class=\"{style}\"/>\n");

    public static string Dot(double x, double y, string style) => Invariant($"<circle cx=\"{x:F1}\" cy=\"{y:F1}\" r=\"3\" class=\"{style}\"/>\n");

    public static string Bar(double x, double y, double width, double height, string style) =>
        Invariant($"<rect x=\"{x:F1}\" y=\"{y:F1}\" width=\"{width:F1}\" height=\"{height:F1}\" rx=\"2\" class=\"{style}\"/>\n");

    public static string Pair(double x, double y) => Invariant($"{x:F1},{y:F1}");

    /// <summary>A figure with three digits that mean something.</summary>
    public static string Number(double value) =>
        value.ToString(value >= 100 ? "F0" : value >= 10 ? "0.#" : "0.##", CultureInfo.InvariantCulture);

    private static string Invariant(System.FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
