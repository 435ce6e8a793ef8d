using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Vmm.Tests.Architecture;

/// <summary>Which types of an assembly refer to which others of it: by declaration, by signature, and in the code of methods.</summary>
/// <remarks>A constant that the compiler copies leaves no trace.</remarks>
internal sealed class TypeReferences
{
    private static readonly Dictionary<int, OperandType> _operands = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(static field => (OpCode)field.GetValue(null)!)
        .ToDictionary(static code => code.Value & 0xffff, static code => code.OperandType);

    private readonly PEReader _file;
    private readonly MetadataReader _reader;
    private readonly Collector _collector;
    private readonly HashSet<TypeDefinitionHandle> _found = [];

    private TypeReferences(PEReader file)
    {
        _file = file;
        _reader = file.GetMetadataReader();
        _collector = new Collector(_reader, _found);
    }

    /// <summary>Reads every reference from one type to another, with the member that makes it; nested types count as their outermost one.</summary>
    public static List<(string From, string Member, string To)> Read(string path)
    {
        using var file = new PEReader(System.IO.File.OpenRead(path));
        var references = new TypeReferences(file);
        return [.. references._reader.TypeDefinitions.SelectMany(references.ReadType)];
    }

    private IEnumerable<(string From, string Member, string To)> ReadType(TypeDefinitionHandle handle)
    {
        TypeDefinition type = _reader.GetTypeDefinition(handle);
        string from = NameOf(handle);
        _found.Clear();
        Collect(type.BaseType);
        CollectAttributes(type.GetCustomAttributes());
        CollectConstraints(type.GetGenericParameters());
        foreach (InterfaceImplementationHandle implementation in type.GetInterfaceImplementations())
        {
            Collect(_reader.GetInterfaceImplementation(implementation).Interface);
        }

        foreach ((string From, string Member, string To) reference in Take(from, "its declaration"))
        {
            yield return reference;
        }

        foreach (FieldDefinition field in type.GetFields().Select(_reader.GetFieldDefinition))
        {
            field.DecodeSignature(_collector, null);
            CollectAttributes(field.GetCustomAttributes());
            foreach ((string From, string Member, string To) reference in Take(from, _reader.GetString(field.Name)))
            {
                yield return reference;
            }
        }

        foreach (MethodDefinition method in type.GetMethods().Select(_reader.GetMethodDefinition))
        {
            method.DecodeSignature(_collector, null);
            CollectAttributes(method.GetCustomAttributes());
            CollectConstraints(method.GetGenericParameters());
            CollectBody(method);
            foreach ((string From, string Member, string To) reference in Take(from, _reader.GetString(method.Name)))
            {
                yield return reference;
            }
        }
    }

    private List<(string From, string Member, string To)> Take(string from, string member)
    {
        var references = _found.Select(NameOf).Where(to => to != from).Distinct().Select(to => (from, member, to)).ToList();
        _found.Clear();
        return references;
    }

    private string NameOf(TypeDefinitionHandle handle)
    {
        TypeDefinition type = _reader.GetTypeDefinition(handle);
        while (!type.GetDeclaringType().IsNil)
        {
            type = _reader.GetTypeDefinition(type.GetDeclaringType());
        }

        return $"{_reader.GetString(type.Namespace)}.{_reader.GetString(type.Name)}";
    }

    private void CollectAttributes(CustomAttributeHandleCollection attributes)
    {
        foreach (CustomAttributeHandle attribute in attributes)
        {
            Collect(_reader.GetCustomAttribute(attribute).Constructor);
        }
    }

    private void CollectConstraints(GenericParameterHandleCollection parameters)
    {
        foreach (GenericParameterConstraintHandle constraint
            in parameters.SelectMany(parameter => _reader.GetGenericParameter(parameter).GetConstraints()))
        {
            Collect(_reader.GetGenericParameterConstraint(constraint).Type);
        }
    }

    private void CollectBody(MethodDefinition method)
    {
        if (method.RelativeVirtualAddress == 0)
        {
            return;
        }

        MethodBodyBlock body = _file.GetMethodBody(method.RelativeVirtualAddress);
        if (!body.LocalSignature.IsNil)
        {
            _reader.GetStandaloneSignature(body.LocalSignature).DecodeLocalSignature(_collector, null);
        }

        foreach (ExceptionRegion region in body.ExceptionRegions)
        {
            Collect(region.CatchType);
        }

        BlobReader code = body.GetILReader();
        while (code.RemainingBytes > 0)
        {
            int value = code.ReadByte();
            value = value == 0xfe ? 0xfe00 | code.ReadByte() : value;
            switch (_operands[value])
            {
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineType or OperandType.InlineTok:
                    Collect(MetadataTokens.EntityHandle(code.ReadInt32()));
                    break;
                case OperandType.InlineSwitch:
                    int targets = code.ReadInt32();
                    code.Offset += targets * 4;
                    break;
                default:
                    code.Offset += LengthOf(_operands[value]);
                    break;
            }
        }
    }

    private static int LengthOf(OperandType operand) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        _ => 4,
    };

    private void Collect(EntityHandle handle)
    {
        if (handle.IsNil)
        {
            return;
        }

        switch (handle.Kind)
        {
            case HandleKind.TypeDefinition:
                _found.Add((TypeDefinitionHandle)handle);
                break;
            case HandleKind.TypeSpecification:
                _reader.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(_collector, null);
                break;
            case HandleKind.FieldDefinition:
                _found.Add(_reader.GetFieldDefinition((FieldDefinitionHandle)handle).GetDeclaringType());
                break;
            case HandleKind.MethodDefinition:
                _found.Add(_reader.GetMethodDefinition((MethodDefinitionHandle)handle).GetDeclaringType());
                break;
            case HandleKind.MemberReference:
                CollectMember(_reader.GetMemberReference((MemberReferenceHandle)handle));
                break;
            case HandleKind.MethodSpecification:
                MethodSpecification generic = _reader.GetMethodSpecification((MethodSpecificationHandle)handle);
                Collect(generic.Method);
                generic.DecodeSignature(_collector, null);
                break;
            default:
                break;
        }
    }

    private void CollectMember(MemberReference member)
    {
        Collect(member.Parent);
        if (member.GetKind() == MemberReferenceKind.Field)
        {
            member.DecodeFieldSignature(_collector, null);
        }
        else
        {
            member.DecodeMethodSignature(_collector, null);
        }
    }

    /// <summary>Notes the types of the assembly that a signature names.</summary>
    private sealed class Collector(MetadataReader reader, HashSet<TypeDefinitionHandle> found) : ISignatureTypeProvider<bool, object?>
    {
        public bool GetTypeFromDefinition(MetadataReader owner, TypeDefinitionHandle handle, byte rawTypeKind) => found.Add(handle);

        public bool GetTypeFromSpecification(MetadataReader owner, object? context, TypeSpecificationHandle handle, byte rawTypeKind) =>
            reader.GetTypeSpecification(handle).DecodeSignature(this, context);

        public bool GetTypeFromReference(MetadataReader owner, TypeReferenceHandle handle, byte rawTypeKind) => false;

        public bool GetArrayType(bool elementType, ArrayShape shape) => elementType;

        public bool GetByReferenceType(bool elementType) => elementType;

        public bool GetFunctionPointerType(MethodSignature<bool> signature) => signature.ReturnType;

        public bool GetGenericInstantiation(bool genericType, ImmutableArray<bool> typeArguments) => genericType;

        public bool GetGenericMethodParameter(object? context, int index) => false;

        public bool GetGenericTypeParameter(object? context, int index) => false;

        public bool GetModifiedType(bool modifier, bool unmodifiedType, bool isRequired) => unmodifiedType;

        public bool GetPinnedType(bool elementType) => elementType;

        public bool GetPointerType(bool elementType) => elementType;

        public bool GetPrimitiveType(PrimitiveTypeCode typeCode) => false;

        public bool GetSZArrayType(bool elementType) => elementType;
    }
}
