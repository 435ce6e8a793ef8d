namespace Vmm.Machine.Catalogue;

/// <summary>
/// How a device of a kind is made to be checked by itself: by <c>vmm conformance --model</c>, or in a test of the embedder's. Nothing that anybody
/// keeps is behind it.
/// </summary>
/// <param name="Name">Its word; no other kind of a catalogue has it.</param>
/// <param name="Words">Words that the kind parses, with which every model of it begins: <c>path=scratch</c>. Others follow where they are asked for.</param>
/// <param name="Request">A request to a virtio device of a type that the checks do not know: without one nobody sees it at work.</param>
public sealed record KindModel(string Name, string Words, ModelRequest? Request = null);
