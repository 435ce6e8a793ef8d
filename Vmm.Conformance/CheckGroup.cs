using System;
using System.Collections;
using System.Collections.Generic;
using Vmm.Virtio.Devices;

namespace Vmm.Conformance;

/// <summary>A table of checks on one subject, one line each, in the order in which they run.</summary>
public sealed class CheckGroup : IEnumerable<Check>
{
    private readonly List<Check> _checks = [];
    private readonly string _document;

    /// <summary>Begins a table.</summary>
    /// <param name="title">The subject.</param>
    /// <param name="document">The specification that the sections of the table are of.</param>
    public CheckGroup(string title, string document)
    {
        Title = title;
        _document = document;
    }

    /// <summary>The subject.</summary>
    public string Title { get; }

    /// <summary>How many checks.</summary>
    public int Count => _checks.Count;

    /// <summary>Adds a requirement.</summary>
    /// <param name="id">Stable name.</param>
    /// <param name="section">Section of the document of the table, or of another with its name.</param>
    /// <param name="requirement">The requirement in our words.</param>
    /// <param name="body">Observes it.</param>
    /// <param name="needs">What the function must have.</param>
    /// <param name="features">Features that must be offered.</param>
    public void Add(string id, string section, string requirement, Action<CheckContext> body, Need needs = Need.None, ulong features = 0)
    {
        Add(new Check(id, Place(section), requirement, body) { Needs = needs, Features = features });
    }

    /// <summary>Adds a requirement or a recommendation.</summary>
    /// <param name="id">Stable name.</param>
    /// <param name="section">Section of the document of the table, or of another with its name.</param>
    /// <param name="requirement">What is asked, in our words.</param>
    /// <param name="body">Observes it.</param>
    /// <param name="severity">MUST or SHOULD.</param>
    /// <param name="needs">What the function must have.</param>
    /// <param name="features">Features that must be offered.</param>
    public void Add(
        string id, string section, string requirement, Action<CheckContext> body, CheckSeverity severity, Need needs = Need.None, ulong features = 0)
    {
        Add(new Check(id, Place(section), requirement, body) { Needs = needs, Features = features, Severity = severity });
    }

    /// <summary>Adds a requirement or a recommendation of one device type.</summary>
    /// <param name="id">Stable name.</param>
    /// <param name="section">Section of the document of the table, or of another with its name.</param>
    /// <param name="requirement">The requirement in our words.</param>
    /// <param name="body">Observes it.</param>
    /// <param name="type">The device type.</param>
    /// <param name="needs">What the function must have.</param>
    /// <param name="features">Features that must be offered.</param>
    /// <param name="severity">MUST or SHOULD.</param>
    public void Add(
        string id,
        string section,
        string requirement,
        Action<CheckContext> body,
        VirtioDeviceType type,
        Need needs = Need.None,
        ulong features = 0,
        CheckSeverity severity = CheckSeverity.Requirement)
    {
        Add(new Check(id, Place(section), requirement, body) { Needs = needs, Features = features, DeviceType = type, Severity = severity });
    }

    /// <summary>Adds a check.</summary>
    /// <param name="check">The check, with the document in its section.</param>
    public void Add(Check check)
    {
        ArgumentNullException.ThrowIfNull(check);
        _checks.Add(check);
    }

    /// <inheritdoc/>
    public IEnumerator<Check> GetEnumerator() => _checks.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>A section that names its own document stands for itself.</summary>
    private string Place(string section) => char.IsAsciiDigit(section[0]) ? $"{_document}, {section}" : section;
}
