using System.Collections.Generic;
using System.IO;

namespace Vmm.Cli;

/// <summary>A line of a tree and what hangs below it.</summary>
/// <param name="text">The line.</param>
internal sealed class TreeNode(string text)
{
    private readonly List<TreeNode> _children = [];

    /// <summary>Hangs a line below this one.</summary>
    /// <returns>The new line.</returns>
    public TreeNode Add(string line)
    {
        var child = new TreeNode(line);
        _children.Add(child);
        return child;
    }

    /// <summary>Draws the tree.</summary>
    public void Write(TextWriter output)
    {
        output.Write(text);
        output.Write('\n');
        WriteChildren(output, "");
    }

    private void WriteChildren(TextWriter output, string indent)
    {
        foreach (TreeNode child in _children)
        {
            bool last = child == _children[^1];
            output.Write(indent + (last ? "└─ " : "├─ ") + child.Text + "\n");
            child.WriteChildren(output, indent + (last ? "   " : "│  "));
        }
    }

    private string Text => text;
}
