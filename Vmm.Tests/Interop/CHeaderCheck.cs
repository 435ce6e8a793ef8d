using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading.Tasks;

namespace Vmm.Tests.Interop;

/// <summary>
/// Holds our bindings against the system's C headers: every expectation becomes a static assertion, and the C compiler is the judge.
/// </summary>
/// <example>
/// <code>
/// new CHeaderCheck("linux/kvm.h")
///     .Equal("KVM_MEM_READONLY", KvmConstants.KVM_MEM_READONLY)
///     .Struct&lt;kvm_irqfd&gt;("struct kvm_irqfd")
///     .Run();
/// </code>
/// </example>
public sealed class CHeaderCheck
{
    private readonly StringBuilder _source = new();
    private readonly List<string> _failures = [];
    private int _expectations;

    /// <summary>Includes headers, in this order.</summary>
    public CHeaderCheck(params string[] headers)
    {
        _source.Append("#define _GNU_SOURCE 1\n#include <stddef.h>\n");
        foreach (string header in headers)
        {
            _source.Append(CultureInfo.InvariantCulture, $"#include <{header}>\n");
        }
    }

    /// <summary>How many assertions there are.</summary>
    public int Expectations => _expectations;

    /// <summary>Expects an integer constant expression to have a value; both sides are compared as 64 bits.</summary>
    public CHeaderCheck Equal(string expression, long value)
    {
        return Assert(expression, $"(unsigned long long)({expression}) == {(ulong)value}ull", value.ToString(CultureInfo.InvariantCulture));
    }

    /// <inheritdoc cref="Equal(string, long)"/>
    public CHeaderCheck Equal(string expression, ulong value) => Equal(expression, unchecked((long)value));

    /// <summary>Expects an <c>int</c> or <c>unsigned</c> constant expression to have these 32 bits, whatever its sign.</summary>
    public CHeaderCheck Equal32(string expression, uint value)
    {
        return Assert(expression, $"(unsigned)({expression}) == {value}u", $"0x{value:x}");
    }

    /// <summary>
    /// Expects every integer constant of a class whose name passes to exist in the headers under that name, with the same 32 or 64 bits.
    /// </summary>
    /// <param name="type">A class of <c>const</c> and <c>static readonly</c> integers named as in C.</param>
    /// <param name="include">Which names, or null for all.</param>
    public CHeaderCheck Constants(
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields | DynamicallyAccessedMemberTypes.NonPublicFields)] Type type,
        Func<string, bool>? include = null)
    {
        foreach (FieldInfo field in type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
        {
            if ((!field.IsLiteral && !field.IsInitOnly) || !field.FieldType.IsPrimitive || (include is not null && !include(field.Name)))
            {
                continue;
            }

            switch (field.GetValue(null))
            {
                case uint value:
                    Equal32(field.Name, value);
                    break;
                case int value:
                    Equal32(field.Name, unchecked((uint)value));
                    break;
                case ulong value:
                    Equal(field.Name, value);
                    break;
                case nuint value:
                    Equal(field.Name, (ulong)value);
                    break;
                case IConvertible value:
                    Equal(field.Name, value.ToInt64(CultureInfo.InvariantCulture));
                    break;
            }
        }

        return this;
    }

    /// <summary>Expects a structure to have the size of the C type and each field its offset and size.</summary>
    /// <param name="type">The C type, for example <c>struct kvm_irqfd</c>.</param>
    /// <param name="members">
    /// C members of fields that are named otherwise (<c>("msi_data", "u.msi.data")</c>), or null for a field to pass over. A field whose C member
    /// is named <c>.member</c> is compared by offset alone.
    /// </param>
    public unsafe CHeaderCheck Struct<
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields | DynamicallyAccessedMemberTypes.NonPublicFields)] T>(
        string type, params (string Field, string? Member)[] members)
        where T : unmanaged
    {
        return Size<T>(type).Members<T>(type, members);
    }

    /// <summary>Expects a structure to have the size of the C type.</summary>
    public unsafe CHeaderCheck Size<T>(string type)
        where T : unmanaged
    {
        return Equal($"sizeof({type})", sizeof(T));
    }

    /// <summary>As <see cref="Struct{T}"/>, for a structure that is deliberately shorter or longer than the C type.</summary>
    public unsafe CHeaderCheck Members<
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields | DynamicallyAccessedMemberTypes.NonPublicFields)] T>(
        string type, params (string Field, string? Member)[] members)
        where T : unmanaged
    {
        Dictionary<string, string?> names = members.ToDictionary(m => m.Field, m => m.Member);
        FieldInfo[] fields = typeof(T).GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        _failures.AddRange(names.Keys.Except(fields.Select(f => f.Name)).Select(name => $"{typeof(T).Name} has no field '{name}'"));
        foreach (FieldInfo field in fields)
        {
            string? member = names.TryGetValue(field.Name, out string? named) ? named : field.Name;
            if (member is null)
            {
                continue;
            }

            bool offsetAlone = member.StartsWith('.');
            member = member.TrimStart('.');
            Equal($"offsetof({type}, {member})", Marshal.OffsetOf<T>(field.Name));
            if (!offsetAlone)
            {
                Equal($"sizeof((({type} *)0)->{member})", SizeOf(field.FieldType));
            }
        }

        return this;
    }

    /// <summary>Compiles the assertions; fails with the compiler's words if one does not hold.</summary>
    public void Run()
    {
        _failures.Should().BeEmpty();
        _expectations.Should().BePositive("a header check without an expectation proves nothing");
        (int status, string output) = Compile(_source.ToString());
        status.Should().Be(0, "the C compiler disagrees with the bindings:\n{0}", output);
    }

    /// <summary>What the compiler says, for tests of this class.</summary>
    internal bool Holds() => _failures.Count == 0 && Compile(_source.ToString()).Status == 0;

    private static (int Status, string Output) Compile(string source)
    {
        var start = new ProcessStartInfo(CompilerFactAttribute.Compiler)
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            ArgumentList = { "-std=gnu11", "-fsyntax-only", "-fmax-errors=50", "-x", "c", "-" },
        };
        using Process compiler = Process.Start(start) ?? throw new InvalidOperationException("the compiler did not start");
        Task<string> errors = compiler.StandardError.ReadToEndAsync();
        Task<string> output = compiler.StandardOutput.ReadToEndAsync();
        try
        {
            compiler.StandardInput.Write(source);
            compiler.StandardInput.Close();
        }
        catch (IOException)
        {
            // A compiler that refuses its arguments says so on its error output.
        }

        compiler.WaitForExit();
        return (compiler.ExitCode, errors.Result + output.Result);
    }

    private static int SizeOf(Type type)
    {
        if (type.IsPointer)
        {
            return IntPtr.Size;
        }

        return (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;
    }

    private CHeaderCheck Assert(string expression, string condition, string expected)
    {
        _expectations++;
        _source.Append(
            CultureInfo.InvariantCulture,
            $"_Static_assert({condition}, \"{expression.Replace("\"", "\\\"", StringComparison.Ordinal)}, expected {expected}\");\n");
        return this;
    }
}
